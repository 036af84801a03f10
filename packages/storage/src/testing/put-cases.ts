import { describe, expect, test } from 'vitest';
import type { Subject } from './conformance.ts';
import { all, chunksOf, collect, contentOf, sha256Of } from './content.ts';

/** Sizes as they matter to a store that cuts at `partBytes`; functions, since that is known only once it is open. */
const sizes: Record<string, (partBytes: number) => number> = {
  'no byte': () => 0,
  'one byte': () => 1,
  'one byte less than a part': (partBytes) => partBytes - 1,
  'exactly a part': (partBytes) => partBytes,
  'one byte more than a part': (partBytes) => partBytes + 1,
  '40 MB': () => 40_000_000,
};

/** Yields `content` in one buffer, which holds something else as soon as the next piece is asked for. */
async function* inOneBuffer(content: Uint8Array): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(100_000);
  for await (const piece of chunksOf(content, buffer.length)) {
    buffer.set(piece);
    yield buffer.subarray(0, piece.length);
    buffer.fill(0xff);
  }
}

/** Yields `content` and then fails. */
async function* failingAfter(content: Uint8Array, error: Error): AsyncGenerator<Uint8Array> {
  yield* chunksOf(content);
  throw error;
}

/** Yields `content` and then nothing more until it is let go. */
function silentAfter(content: Uint8Array): { source: AsyncGenerator<Uint8Array>; reached: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* source(): AsyncGenerator<Uint8Array> {
    yield* chunksOf(content);
    resolve();
    await new Promise<never>(() => undefined);
  }
  return { source: source(), reached: promise };
}

export function describePut(subject: Subject): void {
  const nothingLeft = async (key: string): Promise<void> => {
    expect(await subject.store.head(key)).toBeUndefined();
    expect(await all(subject.store.list(key))).toEqual([]);
    expect(await all(subject.store.unfinished(key))).toEqual([]);
  };

  describe.each(Object.entries(sizes))('put of %s', (name, sizeOf) => {
    const key = `put/${name}.bin`;

    test('stores it whole, and tells how far it is', async () => {
      const { store, partBytes } = subject;
      const content = contentOf(sizeOf(partBytes));
      const progress: number[] = [];
      const began = Date.now();
      const stored = await store.put(key, chunksOf(content), { onStored: (bytes) => progress.push(bytes) });
      expect(stored).toMatchObject({ key, sizeBytes: content.length });
      // Servers give seconds, and their clock need not be ours to the second.
      expect(Math.abs(stored.modifiedAt.getTime() - began)).toBeLessThan(300_000);
      expect(sha256Of(await collect(await store.get(key)))).toBe(sha256Of(content));
      expect(progress).toEqual(progress.toSorted((a, b) => a - b));
      expect(progress.at(-1) ?? 0).toBe(content.length);
      expect(await all(store.unfinished('put/'))).toEqual([]);
    });

    test('stores what a source yields that uses its buffer again', async () => {
      const { store, partBytes } = subject;
      const content = contentOf(sizeOf(partBytes), 2);
      const again = `${key}.again`;
      await store.put(again, inOneBuffer(content));
      expect(sha256Of(await collect(await store.get(again)))).toBe(sha256Of(content));
    });

    test('leaves nothing when the source throws after it, and passes on what it threw', async () => {
      const error = new Error('pg_dump died');
      const put = subject.store.put(`${key}.failed`, failingAfter(contentOf(sizeOf(subject.partBytes)), error));
      await expect(put).rejects.toBe(error);
      await nothingLeft(`${key}.failed`);
    });

    test('leaves nothing when aborted while the source is silent, and ends with the reason', async () => {
      const controller = new AbortController();
      const { source, reached } = silentAfter(contentOf(sizeOf(subject.partBytes)));
      const aborting = reached.then(() => controller.abort(new Error('operator said stop')));
      const put = subject.store.put(`${key}.aborted`, source, { signal: controller.signal });
      await expect(put).rejects.toThrow('operator said stop');
      await aborting;
      await nothingLeft(`${key}.aborted`);
    });

    test('never overwrites', async () => {
      const { store, partBytes } = subject;
      const held = `${key}.taken`;
      await store.put(held, chunksOf(Buffer.from('first')));
      const second = store.put(held, chunksOf(contentOf(sizeOf(partBytes))));
      await expect(second).rejects.toMatchObject({ code: 'ObjectExists', transient: false });
      expect((await collect(await store.get(held))).toString()).toBe('first');
      expect(await all(store.unfinished(held))).toEqual([]);
    });
  });

  test('a signal that aborted before has the put do nothing', async () => {
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(subject.store.put('put/before', chunksOf(contentOf(10)), { signal })).rejects.toThrow('too late');
    await nothingLeft('put/before');
  });

  test('a source that ends is told so, also when the put fails', async () => {
    const { store } = subject;
    await store.put('put/held', chunksOf(contentOf(1)));
    let ended = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield contentOf(65_536);
      } finally {
        ended = true;
      }
    }
    const controller = new AbortController();
    const stop = (bytes: number): void => {
      if (bytes > 0) controller.abort(new Error('enough'));
    };
    const put = store.put('put/endless', source(), { signal: controller.signal, onStored: stop });
    await expect(put).rejects.toThrow('enough');
    await expect.poll(() => ended).toBe(true);
    await nothingLeft('put/endless');
  });

  test.each(['small', 'large'])('of two %s puts of one key at the same time one wins, whole', async (kind) => {
    const { store, partBytes } = subject;
    const size = kind === 'small' ? 1000 : partBytes * 2;
    const contents = [contentOf(size, 1), contentOf(size, 2)];
    const key = `put/race-${kind}`;
    const results = await Promise.allSettled(contents.map(async (content) => await store.put(key, chunksOf(content))));
    const winners = contents.filter((_, at) => results[at]?.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'ObjectExists' } });
    expect(sha256Of(await collect(await store.get(key)))).toBe(sha256Of(winners[0] ?? Buffer.alloc(0)));
    expect(await all(store.unfinished(key))).toEqual([]);
  });

  test('replace switches in one step under those who read', async () => {
    const { store } = subject;
    const key = 'put/LATEST';
    const versions = [1, 2, 3, 4, 5, 6].map((seed) => contentOf(300_000 + seed, seed));
    const known = new Set(versions.map(sha256Of));
    const [first, ...later] = versions;
    await store.put(key, chunksOf(first ?? Buffer.alloc(0)));
    let writing = true;
    const readers = [1, 2, 3].map(async () => {
      let reads = 0;
      while (writing) {
        expect(known).toContain(sha256Of(await collect(await store.get(key))));
        reads++;
      }
      return reads;
    });
    for (const content of later) await store.put(key, chunksOf(content), { replace: true });
    writing = false;
    for (const reads of await Promise.all(readers)) expect(reads).toBeGreaterThan(0);
    expect(sha256Of(await collect(await store.get(key)))).toBe(sha256Of(versions.at(-1) ?? Buffer.alloc(0)));
    expect(await all(store.unfinished(key))).toEqual([]);
  });

  test('a replace that fails leaves what was there', async () => {
    const { store, partBytes } = subject;
    await store.put('put/kept', chunksOf(Buffer.from('old')));
    const error = new Error('source broke');
    const put = store.put('put/kept', failingAfter(contentOf(partBytes + 1), error), { replace: true });
    await expect(put).rejects.toBe(error);
    expect((await collect(await store.get('put/kept'))).toString()).toBe('old');
    expect(await all(store.unfinished('put/kept'))).toEqual([]);
  });

  test.each([
    ['of a size nobody knows', {}],
    ['of more bytes than foreseen', { expectedBytes: 1 }],
    ['of fewer bytes than foreseen', { expectedBytes: 20 * 1024 ** 3 }],
  ])('takes from a source %s only as fast as it stores', async (_, foreseen) => {
    const { store, holdsBytes } = subject;
    const chunk = contentOf(1024 ** 2);
    let takenBytes = 0;
    let storedBytes = 0;
    let mostAhead = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < 120; at++) {
        takenBytes += chunk.length;
        mostAhead = Math.max(mostAhead, takenBytes - storedBytes);
        yield chunk;
      }
    }
    await store.put('put/pressure', source(), { ...foreseen, onStored: (bytes) => (storedBytes = bytes) });
    expect(takenBytes).toBe(120 * chunk.length);
    expect(mostAhead).toBeLessThanOrEqual(holdsBytes);
    await store.delete('put/pressure');
  });
}
