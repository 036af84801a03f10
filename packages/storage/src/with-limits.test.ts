import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDirectoryStore } from './directory-store.ts';
import type { Store } from './store.ts';
import { chunksOf, collect, contentOf } from './testing/content.ts';
import { withLimits } from './with-limits.ts';
import { withRetry } from './with-retry.ts';

let path: string;
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'storage-test-'));
});
afterEach(async () => {
  await rm(path, { recursive: true, force: true });
});

const orders: [string, (store: Store) => Store][] = [
  ['limits', (store) => withLimits(store, { transfers: 1 })],
  ['limits on retry', (store) => withLimits(withRetry(store), { transfers: 1 })],
  ['retry on limits', (store) => withRetry(withLimits(store, { transfers: 1 }))],
];

test.each(orders)(
  'with %s, a stream that is closed unread, or read in part, or fails gives its turn back',
  async (_, decorate) => {
    const plain = openDirectoryStore({ path, host: 'test' });
    const store = decorate(plain);
    await plain.put('x', chunksOf(contentOf(1_000_000)));
    const unread = (await store.get('x'))[Symbol.asyncIterator]();
    await unread.return?.();
    const begun = (await store.get('x'))[Symbol.asyncIterator]();
    await begun.next();
    await begun.return?.();
    await begun.return?.();
    await expect(store.get('nothing')).rejects.toMatchObject({ code: 'ObjectMissing' });
    expect((await collect(await store.get('x'))).length).toBe(1_000_000);
    // One turn, not more: the second waits for as long as the first is open.
    const first = (await store.get('x'))[Symbol.asyncIterator]();
    const waiting = store.get('x', undefined, { signal: AbortSignal.timeout(50) });
    await expect(waiting).rejects.toMatchObject({ name: 'TimeoutError' });
    await first.return?.();
  },
);
