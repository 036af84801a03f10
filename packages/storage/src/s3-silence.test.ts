import { startHttpFaultProxy, startS3, startTcpProxy, waitFor, type S3Server, type TcpProxy } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openS3Store, type S3StoreOptions } from './open-s3-store.ts';
import type { Store } from './store.ts';
import { all, chunksOf, collect, contentOf, sha256Of } from './testing/content.ts';
import { withLimits } from './with-limits.ts';
import { withRetry } from './with-retry.ts';

const large = contentOf(20_000_000);
const largeSum = sha256Of(large);
const silenceMs = 1_000;
/** As the agent has it: one silence is as long as its whole patience. */
const retry = { retries: 10, firstDelayMs: 1, longestDelayMs: 100, withinMs: silenceMs };
/** The limit, one request that began just within it, and a busy machine; far below the next silence but one. */
const longestMs = 2 * silenceMs + 800;

let server: S3Server;
let proxy: TcpProxy;
let store: Store;
let retrying: Store;

beforeAll(async () => {
  server = await startS3();
  await server.createBucket('silence');
  const truth = await openS3Store(optionsFor(server.endpoint));
  await truth.put('x', chunksOf(large));
  // More than one page.
  for (let at = 0; at < 1_010; at += 50) {
    const keys = Array.from({ length: 50 }, (_, more) => `n/${at + more}`);
    await Promise.all(keys.map(async (key) => await truth.put(key, chunksOf(Buffer.from(key)))));
  }
  truth.close();
});
afterAll(async () => {
  await server.stop();
});
beforeEach(async () => {
  const { hostname: host, port } = new URL(server.endpoint);
  proxy = await startTcpProxy({ to: { host, port: Number(port) } });
  store = await openS3Store(optionsFor(`http://${proxy.host}:${proxy.port}`));
  retrying = withRetry(store, retry);
});
afterEach(async () => {
  store.close();
  await proxy.stop();
});

function optionsFor(endpoint: string): S3StoreOptions {
  const credentials = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey };
  return { bucket: 'silence', prefix: 'p/', endpoint, credentials, retry, requestTimeoutMs: silenceMs };
}

/** Reads, and has the server fall silent once so many bytes were read. */
async function readSilencedAt(stream: AsyncIterable<Uint8Array>, bytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let readBytes = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    if (readBytes < bytes && (readBytes += chunk.length) >= bytes) await proxy.set({ blackHole: true });
  }
  return Buffer.concat(chunks);
}

async function tookMs(call: Promise<unknown>): Promise<number> {
  const began = performance.now();
  await expect(call).rejects.toMatchObject({ code: 'StorageUnreachable' });
  return performance.now() - began;
}

describe.each([
  ['its first chunk', 1],
  ['half of it', 10_000_000],
])('a get whose server falls silent after %s', (_, bytes) => {
  test('errors', async () => {
    const reading = readSilencedAt(await store.get('x'), bytes);
    await expect(reading).rejects.toMatchObject({
      code: 'StorageUnreachable',
      message: expect.stringContaining('no byte came for 1 s') as string,
    });
  });

  test('goes on with withRetry once the server speaks again', async () => {
    const reading = readSilencedAt(await retrying.get('x'), bytes);
    // That it connects anew is how it shows that it gave the silent connection up.
    const before = proxy.accepted;
    const back = waitFor('another connection', () => proxy.accepted > before).then(async () => await proxy.set({}));
    expect(sha256Of(await reading)).toBe(largeSum);
    await back;
  });

  test('gives up with withRetry where the server stays silent', async () => {
    const reading = readSilencedAt(await retrying.get('x'), bytes);
    await expect.poll(() => proxy.connections).toBeGreaterThan(0);
    expect(await tookMs(reading)).toBeLessThan(longestMs + 1_000);
  });
});

describe('a server that is silent from the beginning', () => {
  const calls: [string, () => Promise<unknown>][] = [
    ['head', async () => await retrying.head('x')],
    ['get', async () => await retrying.get('x')],
    ['list', async () => await all(retrying.list())],
    ['delete', async () => await retrying.delete('nothing')],
    ['unfinished', async () => await all(retrying.unfinished())],
    ['copy', async () => await retrying.copy('x', 'y')],
    ['a small put', async () => await retrying.put('new', chunksOf(contentOf(10)))],
    ['a large put', async () => await retrying.put('new', chunksOf(large))],
  ];
  test.each(calls)('%s gives up after its limit and one more request', async (_, call) => {
    await proxy.set({ blackHole: true });
    expect(await tookMs(call())).toBeLessThan(longestMs);
  });
});

test('a list that is cut off between its pages gives up after the limit, and its reader’s time does not count', async () => {
  const reading = async (): Promise<void> => {
    let seen = 0;
    for await (const object of retrying.list('n/')) {
      expect(object.sizeBytes).toBeGreaterThan(0);
      if (++seen === 1_000) await proxy.set({ blackHole: true });
    }
  };
  expect(await tookMs(reading())).toBeLessThan(longestMs + 1_000);
});

test('a list is as patient after a slow reader as before', async () => {
  let seen = 0;
  let back = Promise.resolve();
  for await (const object of retrying.list('n/')) {
    expect(object.sizeBytes).toBeGreaterThan(0);
    if (++seen !== 1_000) continue;
    const until = performance.now() + 2 * silenceMs;
    await expect.poll(() => performance.now() >= until, { timeout: 10_000 }).toBe(true);
    // The next page meets silence, and is answered on another connection.
    const before = proxy.accepted;
    await proxy.set({ blackHole: true });
    back = waitFor('a second try', () => proxy.accepted > before).then(async () => await proxy.set({}));
  }
  await back;
  expect(seen).toBe(1_050);
});

test('a stream that is closed unread lets go of its connection', async () => {
  for (const each of [store, retrying, withLimits(retrying, { transfers: 1 })]) {
    const others = proxy.connections;
    const stream = await each.get('x');
    expect(proxy.connections).toBeGreaterThan(others);
    await stream[Symbol.asyncIterator]().return?.();
    // The connection of a HEAD is kept for the next one.
    await waitFor('the end of the connection', () => proxy.connections <= Math.max(1, others));
  }
  expect((await collect(await store.get('x'))).length).toBe(large.length);
});

test('a get whose object cannot be described lets go of its connection', async () => {
  const faults = await startHttpFaultProxy({ to: server.endpoint });
  const before = await startTcpProxy({ to: { host: faults.host, port: faults.port } });
  const refused = await openS3Store(optionsFor(`http://${before.host}:${before.port}`));
  try {
    faults.add({ method: 'HEAD', fault: { status: 403, code: 'AccessDenied' } });
    await expect(withRetry(refused, retry).get('x')).rejects.toMatchObject({ code: 'AccessDenied' });
    expect(faults.requests.some(({ method, headers }) => method === 'GET' && headers['range'] === undefined)).toBe(
      true,
    );
    await waitFor('the end of the connection', () => before.connections <= 1);
  } finally {
    refused.close();
    await before.stop();
    await faults.stop();
  }
});
