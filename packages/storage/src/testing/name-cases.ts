import { describe, expect, test } from 'vitest';
import { compareKeys } from '../keys.ts';
import type { Subject } from './conformance.ts';
import { all, chunksOf, collect, contentOf } from './content.ts';

const oddNames = [
  'a b',
  'a  b',
  'a+b',
  'a%20b',
  'a%2Fb',
  'a-b/c',
  'a/b/c',
  'a0',
  'a\'b"c',
  'a&b<c>d',
  'a?b=c#d',
  'a*[b]{c}$d;e|f~g`h^i,j@k!l:m(n)',
  '.hidden',
  '-dash',
  'ä decomposed a\u0308',
  '数据库.sql.gz',
  '\u{1f600}',
  '\uffee',
  'Z',
  'z',
];

export function describeNames(subject: Subject): void {
  test('keys of any kind come back as they are, in the order of their bytes', async () => {
    const { store } = subject;
    for (const name of oddNames) await store.put(`names/${name}`, chunksOf(Buffer.from(name)));
    const listed = await all(store.list('names/'));
    expect(listed.map(({ key }) => key)).toEqual(oddNames.map((name) => `names/${name}`).toSorted(compareKeys));
    for (const name of oddNames) {
      expect((await collect(await store.get(`names/${name}`))).toString()).toBe(name);
      expect(await store.head(`names/${name}`)).toMatchObject({ sizeBytes: Buffer.byteLength(name) });
      await store.copy(`names/${name}`, `copied/${name}`);
      expect((await collect(await store.get(`copied/${name}`))).toString()).toBe(name);
      await store.delete(`names/${name}`);
      expect(await store.head(`names/${name}`)).toBeUndefined();
    }
    expect(await all(store.list('names/'))).toEqual([]);
  });

  describe('a key that could mean another place', () => {
    test.each([
      '',
      '/absolute',
      '..',
      '../outside',
      'a/../../outside',
      'a/..',
      './a',
      'a/./b',
      'a//b',
      'a/',
      'nul\0byte',
      'line\nbreak',
      'back\\slash',
      '..\\outside',
      'half \ud800 pair',
      '.x.0123abcd.partial',
      `a/${'long'.repeat(60)}`,
      'a/'.repeat(500) + 'deep',
    ])('%j is refused by everything that takes a key', async (key) => {
      const { store } = subject;
      const invalid = { code: 'KeyInvalid', transient: false };
      await expect(store.put(key, chunksOf(contentOf(1)))).rejects.toMatchObject(invalid);
      await expect(store.get(key)).rejects.toMatchObject(invalid);
      await expect(store.head(key)).rejects.toMatchObject(invalid);
      await expect(store.delete(key)).rejects.toMatchObject(invalid);
      await expect(store.copy(key, 'fine')).rejects.toMatchObject(invalid);
      await expect(store.copy('fine', key)).rejects.toMatchObject(invalid);
    });
  });

  describe('list', () => {
    test('takes its prefix as the beginning of a key, not as a folder', async () => {
      const { store } = subject;
      const keys = ['list/app_1', 'list/app_2', 'list/app/deep', 'list/application', 'list/other'];
      for (const key of keys) await store.put(key, chunksOf(contentOf(1)));
      const keysAt = async (prefix: string): Promise<string[]> => {
        return (await all(store.list(prefix))).map(({ key }) => key);
      };
      expect(await keysAt('list/app_')).toEqual(['list/app_1', 'list/app_2']);
      expect(await keysAt('list/app')).toEqual(['list/app/deep', 'list/app_1', 'list/app_2', 'list/application']);
      expect(await keysAt('list/app/')).toEqual(['list/app/deep']);
      expect(await keysAt('list/other')).toEqual(['list/other']);
      expect(await keysAt('list/none')).toEqual([]);
      expect(await keysAt('../list')).toEqual([]);
      expect((await keysAt('')).length).toBeGreaterThanOrEqual(keys.length);
      expect(await keysAt('')).toEqual((await all(store.list())).map(({ key }) => key));
    });

    test('describes each object as head does', async () => {
      const { store } = subject;
      await store.put('described/one', chunksOf(contentOf(123)));
      const [listed] = await all(store.list('described/'));
      const head = await store.head('described/one');
      expect(listed).toMatchObject({ key: 'described/one', sizeBytes: 123 });
      // Lists give fractions of a second where heads give none.
      expect(Math.abs((listed?.modifiedAt.getTime() ?? 0) - (head?.modifiedAt.getTime() ?? 1e15))).toBeLessThan(1000);
    });
  });

  test('a put under way is among the unfinished and nowhere else, and can be discarded', async () => {
    const { store, partBytes } = subject;
    const key = 'unfinished/one + two%20.bin';
    const controller = new AbortController();
    let seen: { key: string; startedAt: Date }[] = [];
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* chunksOf(contentOf(partBytes * 2 + 1));
      await expect.poll(async () => await all(store.unfinished('unfinished/')), { timeout: 20_000 }).toHaveLength(1);
      const found = await all(store.unfinished('unfinished/one'));
      seen = found;
      expect(await all(store.list('unfinished/'))).toEqual([]);
      expect(await store.head(key)).toBeUndefined();
      expect(await all(store.unfinished('unfinished/other'))).toEqual([]);
      for (const each of found) {
        await each.discard();
        await each.discard();
      }
      expect(await all(store.unfinished('unfinished/'))).toEqual([]);
    }
    const put = store.put(key, source(), { signal: controller.signal });
    // What it was writing to is gone: it must say so, and not claim that the object is there.
    await expect(put).rejects.toMatchObject({ name: expect.any(String) as string });
    expect(seen).toMatchObject([{ key }]);
    expect(Math.abs((seen[0]?.startedAt.getTime() ?? 0) - Date.now())).toBeLessThan(300_000);
    expect(await store.head(key)).toBeUndefined();
    expect(await all(store.unfinished('unfinished/'))).toEqual([]);
  });

  test('knows how many bytes are free, or says that it does not', async () => {
    const free = await subject.store.freeBytes();
    expect(free === undefined ? subject.store.location.startsWith('s3:') : free > 0).toBe(true);
  });

  test('says who and where it is', () => {
    const { storeId, location } = subject.store;
    expect(storeId).toMatch(/^[0-9a-f-]{36}$/);
    expect(location).toMatch(/^(\/|s3:\/\/)/);
  });
}
