import { describe, expect, test } from 'vitest';
import type { Subject } from './conformance.ts';
import { all, chunksOf, collect, contentOf, sha256Of } from './content.ts';

export function describeGet(subject: Subject): void {
  describe('get', () => {
    test('gives any range, and what there is of one that passes the end', async () => {
      const { store } = subject;
      const content = contentOf(1_000_003);
      await store.put('get/ranged', chunksOf(content));
      const ranges: [offset: number, length?: number][] = [
        [0],
        [0, 1],
        [1, 999_999],
        [262_143, 2],
        [999_999],
        [1_000_002, 1],
        [1_000_000, 5_000],
      ];
      for (const [offset, length] of ranges) {
        const part = await collect(
          await store.get('get/ranged', length === undefined ? { offset } : { offset, length }),
        );
        const wanted = content.subarray(offset, length === undefined ? undefined : offset + length);
        expect(part.equals(wanted), `${offset} ${length}`).toBe(true);
      }
    });

    test.each([
      ['at the end', { offset: 10 }],
      ['past the end', { offset: 11, length: 1 }],
      ['before the beginning', { offset: -1 }],
      ['of no length', { offset: 0, length: 0 }],
      ['of half a byte', { offset: 0.5 }],
    ])('refuses a range %s', async (_, range) => {
      const { store } = subject;
      await store.put('get/ten', chunksOf(contentOf(10)), { replace: true });
      await expect(store.get('get/ten', range)).rejects.toMatchObject({ code: 'RangeInvalid' });
    });

    test('refuses every range of an empty object, and gives it whole', async () => {
      const { store } = subject;
      await store.put('get/empty', chunksOf(contentOf(0)));
      await expect(store.get('get/empty', { offset: 0 })).rejects.toMatchObject({ code: 'RangeInvalid' });
      expect(await collect(await store.get('get/empty'))).toHaveLength(0);
    });

    test('says that an object is not there', async () => {
      const missing = subject.store.get('get/nothing');
      await expect(missing).rejects.toMatchObject({ code: 'ObjectMissing', transient: false });
    });

    test('ends with the reason when aborted half-way', async () => {
      const { store } = subject;
      await store.put('get/large', chunksOf(contentOf(20_000_000)));
      const controller = new AbortController();
      const chunks = await store.get('get/large', undefined, { signal: controller.signal });
      const reading = async (): Promise<void> => {
        for await (const chunk of chunks) {
          expect(chunk.length).toBeGreaterThan(0);
          controller.abort(new Error('reader left'));
        }
      };
      await expect(reading()).rejects.toThrow('reader left');
    });

    test('a reader may leave early, and others read on', async () => {
      const { store } = subject;
      const content = contentOf(20_000_000, 3);
      await store.put('get/left', chunksOf(content));
      for await (const chunk of await store.get('get/left')) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      const whole = await Promise.all([1, 2, 3].map(async () => await collect(await store.get('get/left'))));
      for (const each of whole) expect(sha256Of(each)).toBe(sha256Of(content));
    });
  });

  describe('copy', () => {
    test('makes a whole object of its own', async () => {
      const { store } = subject;
      const content = contentOf(12_000_000, 4);
      await store.put('copy/from here', chunksOf(content));
      const copied = await store.copy('copy/from here', 'copy/to + there');
      expect(copied).toMatchObject({ key: 'copy/to + there', sizeBytes: content.length });
      await store.delete('copy/from here');
      expect(sha256Of(await collect(await store.get('copy/to + there')))).toBe(sha256Of(content));
    });

    test('never overwrites, unless it is to replace, also twice with the same', async () => {
      const { store } = subject;
      await store.put('copy/new', chunksOf(Buffer.from('new')));
      await store.put('copy/old', chunksOf(Buffer.from('old')));
      await expect(store.copy('copy/new', 'copy/old')).rejects.toMatchObject({ code: 'ObjectExists' });
      expect((await collect(await store.get('copy/old'))).toString()).toBe('old');
      for (let time = 0; time < 2; time++) {
        await store.copy('copy/new', 'copy/old', { replace: true });
        expect((await collect(await store.get('copy/old'))).toString()).toBe('new');
        expect(await all(store.unfinished('copy/'))).toEqual([]);
      }
    });

    test('replacing the copy leaves the original as it was', async () => {
      const { store } = subject;
      await store.put('copy/backup', chunksOf(Buffer.from('backup 1')));
      await store.copy('copy/backup', 'copy/LATEST');
      await store.put('copy/LATEST', chunksOf(Buffer.from('backup 2')), { replace: true });
      expect((await collect(await store.get('copy/backup'))).toString()).toBe('backup 1');
    });

    test('says that there is nothing to copy, and makes nothing', async () => {
      const { store } = subject;
      await expect(store.copy('copy/nothing', 'copy/something')).rejects.toMatchObject({ code: 'ObjectMissing' });
      expect(await store.head('copy/something')).toBeUndefined();
    });

    test('does nothing once its signal has aborted', async () => {
      const { store } = subject;
      await store.put('copy/unwanted', chunksOf(Buffer.from('x')));
      const signal = AbortSignal.abort(new Error('no more'));
      await expect(store.copy('copy/unwanted', 'copy/never', { signal })).rejects.toThrow('no more');
      expect(await store.head('copy/never')).toBeUndefined();
    });
  });

  test('head describes an object, and knows of none that is not there', async () => {
    const { store } = subject;
    const stored = await store.put('head/object', chunksOf(contentOf(77)));
    expect(await store.head('head/object')).toMatchObject({ key: 'head/object', sizeBytes: 77 });
    expect((await store.head('head/object'))?.modifiedAt).toEqual(stored.modifiedAt);
    expect(await store.head('head/nothing')).toBeUndefined();
    expect(await store.head('head')).toBeUndefined();
    expect(await store.head('head/object/below')).toBeUndefined();
  });

  test('delete removes an object, and minds neither a second time nor one that never was', async () => {
    const { store } = subject;
    await store.put('delete/me', chunksOf(contentOf(5)));
    await store.put('delete/me not', chunksOf(contentOf(5)));
    await store.delete('delete/me');
    await store.delete('delete/me');
    await store.delete('delete/never was/there');
    expect(await store.head('delete/me')).toBeUndefined();
    expect(await store.head('delete/me not')).toBeDefined();
    await store.put('delete/me', chunksOf(contentOf(6)));
    expect(await store.head('delete/me')).toMatchObject({ sizeBytes: 6 });
  });
}
