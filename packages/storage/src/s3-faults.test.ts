import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { waitFor, type HttpFault } from '@strideiq/testkit';
import { beforeEach, describe, expect, test } from 'vitest';
import { openS3Store } from './open-s3-store.ts';
import { all, chunksOf, collect, contentOf, sha256Of } from './testing/content.ts';
import { beforeEachStoreBehindProxy, retry, type StoreBehindProxy } from './testing/store-behind-proxy.ts';
import { withRetry } from './with-retry.ts';

const large = contentOf(20_000_000);
const largeSum = sha256Of(large);

let { server, proxy, options, store, truth } = {} as StoreBehindProxy;
beforeEachStoreBehindProxy((made) => {
  ({ server, proxy, options, store, truth } = made);
});

async function expectNothing(key: string): Promise<void> {
  expect(await truth.head(key)).toBeUndefined();
  expect(await all(truth.unfinished())).toEqual([]);
}

const passing: [string, HttpFault][] = [
  ['500', { status: 500, code: 'InternalError' }],
  ['503 SlowDown', { status: 503, code: 'SlowDown' }],
  ['a reset', 'reset'],
  ['a stall', 'stall'],
  ['a lost answer', 'drop'],
];

const steps: [string, { method: string; queryIncludes: string }][] = [
  ['beginning an upload', { method: 'POST', queryIncludes: 'uploads' }],
  ['a part', { method: 'PUT', queryIncludes: 'partNumber=2&' }],
  ['completing an upload', { method: 'POST', queryIncludes: 'uploadId=' }],
  ['confirming', { method: 'HEAD', queryIncludes: '' }],
];

describe.each(passing)('%s', (_, fault) => {
  test.each(steps)('once, on %s: the put goes on', async (_, where) => {
    proxy.add({ ...where, nth: 1, fault });
    expect(await store.put('x', chunksOf(large))).toMatchObject({ sizeBytes: large.length });
    expect(sha256Of(await collect(await truth.get('x')))).toBe(largeSum);
    expect(await all(truth.unfinished())).toEqual([]);
    expect(proxy.requests.filter((seen) => seen.fault !== undefined)).toHaveLength(1);
  });

  test('once, on an object of one part: the put goes on', async () => {
    proxy.add({ method: 'PUT', nth: 1, fault });
    expect(await store.put('x', chunksOf(contentOf(1000)))).toMatchObject({ sizeBytes: 1000 });
    expect((await collect(await truth.get('x'))).equals(contentOf(1000))).toBe(true);
    expect(proxy.requests.filter((seen) => seen.fault !== undefined)).toHaveLength(1);
  });

  test('for good, on every part: the put fails as a passing error, its source is let go, and nothing is left', async () => {
    proxy.add({ queryIncludes: 'partNumber=2&', fault });
    let ended = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield large;
      } finally {
        ended = true;
      }
    }
    await expect(store.put('x', source())).rejects.toMatchObject({ transient: true });
    expect(ended).toBe(true);
    expect(proxy.requests.filter((seen) => seen.fault !== undefined)).toHaveLength(retry.retries + 1);
    await expectNothing('x');
  });

  test('once, on a copy at once and one in parts: the copy goes on', async () => {
    const copying = await openS3Store({ ...options, largestCopyBytes: 5 * 1024 ** 2 });
    await truth.put('small', chunksOf(contentOf(1000)));
    await truth.put('large', chunksOf(large));
    proxy.add({ method: 'PUT', nth: 1, times: 2, fault });
    await copying.copy('small', 'small copy');
    await copying.copy('large', 'large copy');
    copying.close();
    expect((await collect(await truth.get('small copy'))).equals(contentOf(1000))).toBe(true);
    expect(sha256Of(await collect(await truth.get('large copy')))).toBe(largeSum);
    expect(await all(truth.unfinished())).toEqual([]);
  });

  test('once, on the calls that withRetry repeats', async () => {
    const retrying = withRetry(store, retry);
    await truth.put('x', chunksOf(contentOf(1000)));
    proxy.add({ method: 'HEAD', nth: 1, fault });
    proxy.add({ method: 'GET', nth: 1, fault });
    proxy.add({ method: 'DELETE', nth: 1, fault });
    expect(await retrying.head('x')).toMatchObject({ sizeBytes: 1000 });
    expect(await all(retrying.list())).toMatchObject([{ key: 'x' }]);
    await retrying.delete('x');
    expect(await truth.head('x')).toBeUndefined();
  });

  test('once, on ending an upload: it is ended all the same', async () => {
    proxy.add({ method: 'DELETE', nth: 1, fault });
    const error = new Error('source broke');
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* chunksOf(large);
      throw error;
    }
    await expect(store.put('x', source())).rejects.toBe(error);
    await expectNothing('x');
  });
});

test('a lost answer to a completion that may not be sent again is found out by looking', async () => {
  proxy.add({ method: 'POST', queryIncludes: 'uploadId=', nth: 1, fault: 'drop' });
  proxy.add({ method: 'POST', queryIncludes: 'uploadId=', nth: 1, fault: { status: 404, code: 'NoSuchUpload' } });
  expect(await store.put('x', chunksOf(large))).toMatchObject({ sizeBytes: large.length });
  expect(sha256Of(await collect(await truth.get('x')))).toBe(largeSum);
});

test('an upload that someone else ended fails, and is not called stored', async () => {
  proxy.add({ method: 'POST', queryIncludes: 'uploadId=', fault: { status: 404, code: 'NoSuchUpload' } });
  await expect(store.put('x', chunksOf(large))).rejects.toMatchObject({ code: 'StorageUnusable' });
  await expectNothing('x');
});

test('a right that ends in the middle: the error names it, nothing is tried again, nothing is left', async () => {
  proxy.add({ queryIncludes: 'partNumber=2&', fault: { status: 403, code: 'AccessDenied' } });
  await expect(store.put('x', chunksOf(large))).rejects.toMatchObject({
    code: 'AccessDenied',
    cure: expect.stringContaining(`s3:PutObject on arn:aws:s3:::${options.bucket}/p/*`) as string,
  });
  expect(proxy.requests.filter((seen) => seen.fault !== undefined)).toHaveLength(1);
  await expectNothing('x');
});

test('a part that fails when all others are through: the error is that part’s own', async () => {
  proxy.add({ queryIncludes: 'partNumber=1&', fault: { status: 403, code: 'AccessDenied' } });
  await expect(store.put('x', chunksOf(contentOf(10_000_000)))).rejects.toMatchObject({ code: 'AccessDenied' });
  await expectNothing('x');
});

test('a store that is full says so', async () => {
  proxy.add({ method: 'PUT', fault: { status: 403, code: 'QuotaExceeded' } });
  await expect(store.put('x', chunksOf(large))).rejects.toMatchObject({ code: 'StorageFull', transient: false });
  await expectNothing('x');
});

test('bytes changed on the way are sent again', async () => {
  proxy.add({ queryIncludes: 'partNumber=1&', nth: 1, fault: { status: 400, code: 'BadDigest' } });
  await store.put('x', chunksOf(large));
  expect(sha256Of(await collect(await truth.get('x')))).toBe(largeSum);
});

test('a server that knows no conditions is asked for one once, and the key is still never overwritten', async () => {
  proxy.add({ method: 'PUT', nth: 1, fault: { status: 501, code: 'NotImplemented' } });
  await store.put('x', chunksOf(contentOf(10)));
  await store.put('y', chunksOf(contentOf(10)));
  const puts = proxy.requests.filter(({ method }) => method === 'PUT');
  expect(puts.map(({ headers }) => headers['if-none-match'])).toEqual(['*', undefined, undefined]);
  await expect(store.put('x', chunksOf(contentOf(11)))).rejects.toMatchObject({ code: 'ObjectExists' });
  expect(await truth.head('x')).toMatchObject({ sizeBytes: 10 });
});

test('an abort in the middle of a stalled part ends at once and leaves nothing', async () => {
  const slow = await openS3Store({ ...options, requestTimeoutMs: 60_000 });
  proxy.add({ queryIncludes: 'partNumber=2&', fault: 'stall' });
  const controller = new AbortController();
  const stalled = waitFor('a stalled part', () => proxy.requests.some((seen) => seen.fault === 'stall')).then(() => {
    controller.abort(new Error('enough'));
  });
  await expect(slow.put('x', chunksOf(large), { signal: controller.signal })).rejects.toThrow('enough');
  await stalled;
  slow.close();
  await expectNothing('x');
});

test('an upload that cannot be ended is named in the error, and is among the unfinished', async () => {
  proxy.add({ queryIncludes: 'partNumber=2&', fault: { status: 403, code: 'AccessDenied' } });
  proxy.add({ method: 'DELETE', fault: { status: 403, code: 'AccessDenied' } });
  await expect(store.put('x', chunksOf(large))).rejects.toMatchObject({
    code: 'AccessDenied',
    message: expect.stringMatching(/s3:PutObject.*s3:AbortMultipartUpload/) as string,
  });
  expect(await truth.head('x')).toBeUndefined();
  const left = await all(truth.unfinished());
  expect(left).toMatchObject([{ key: 'x' }]);
  for (const each of left) await each.discard();
  expect(await all(truth.unfinished())).toEqual([]);
});

describe('a get', () => {
  beforeEach(async () => {
    await truth.put('x', chunksOf(large));
  });

  test('that is broken off errors, and never just ends', async () => {
    proxy.add({ method: 'GET', nth: 1, fault: 'truncate' });
    await expect(collect(await store.get('x'))).rejects.toMatchObject({ code: 'StorageUnreachable', transient: true });
  });

  test('goes on where it broke off with withRetry, also within a range', async () => {
    const retrying = withRetry(store, retry);
    for (const range of [undefined, { offset: 1_000_000, length: 15_000_000 }]) {
      proxy.add({ method: 'GET', nth: 1, fault: 'truncate' });
      const wanted = range ? large.subarray(range.offset, range.offset + range.length) : large;
      expect(sha256Of(await collect(await retrying.get('x', range)))).toBe(sha256Of(wanted));
    }
    const ranges = proxy.requests.filter(({ method }) => method === 'GET').map(({ headers }) => headers['range']);
    expect(ranges).toEqual([
      undefined,
      expect.stringMatching(/^bytes=[1-9]\d+-$/),
      'bytes=1000000-15999999',
      expect.stringMatching(/^bytes=[1-9]\d+-15999999$/),
    ]);
  });

  test('does not go on with another object of that name', async () => {
    proxy.add({ method: 'GET', nth: 1, fault: 'truncate' });
    const reading = async (): Promise<void> => {
      for await (const chunk of await withRetry(store, retry).get('x')) {
        expect(chunk.length).toBeGreaterThan(0);
        await truth.put('x', chunksOf(contentOf(1_000_000, 2)), { replace: true });
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'ContentLost' });
  });

  test('gives up in the end where every answer is broken off', async () => {
    proxy.add({ method: 'GET', fault: 'reset' });
    await expect(withRetry(store, retry).get('x')).rejects.toMatchObject({ code: 'StorageUnreachable' });
  });

  test('that gets no answer is given up', async () => {
    proxy.add({ method: 'GET', fault: 'stall' });
    await expect(store.get('x')).rejects.toMatchObject({ code: 'StorageUnreachable' });
  });

  test('waits for a slow reader, however long that takes', async () => {
    const content: Uint8Array[] = [];
    for await (const chunk of await store.get('x')) {
      // Longer than the server may be silent; the second and third chunk come at once.
      const until = performance.now() + (content.length === 1 ? 2 * (options.requestTimeoutMs ?? 0) : 0);
      await expect.poll(() => performance.now() >= until, { timeout: 10_000 }).toBe(true);
      content.push(chunk);
      if (content.length > 2) break;
    }
    expect(Buffer.concat(content).equals(large.subarray(0, Buffer.concat(content).length))).toBe(true);
  });
});

test('encryption and storage class go with every way to make an object', async () => {
  const making = await openS3Store({
    ...options,
    sse: 'aws:kms',
    sseKmsKeyId: 'key-1',
    storageClass: 'STANDARD',
    largestCopyBytes: 5 * 1024 ** 2,
  });
  // Whether this server can encrypt is not the question: what is asked of it is.
  await truth.put('small', chunksOf(contentOf(10)));
  await truth.put('large', chunksOf(large));
  await Promise.allSettled([
    making.put('a', chunksOf(contentOf(10))),
    making.put('b', chunksOf(large)),
    making.copy('small', 'c'),
    making.copy('large', 'd'),
  ]);
  making.close();
  const made = proxy.requests.filter(({ method, query }) => {
    return (method === 'PUT' && !query.includes('partNumber')) || (method === 'POST' && query.includes('uploads'));
  });
  expect(made).toHaveLength(4);
  for (const { headers } of made) {
    expect(headers).toMatchObject({
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': 'key-1',
      'x-amz-storage-class': 'STANDARD',
    });
  }
});

test('Object Lock holds each object that is not meant to be replaced, made in whichever way', async () => {
  await server.createBucket('locked', { objectLock: true });
  const locking = await openS3Store({
    ...options,
    endpoint: server.endpoint,
    bucket: 'locked',
    objectLock: { mode: 'COMPLIANCE', days: 30 },
    largestCopyBytes: 5 * 1024 ** 2,
  });
  const client = server.client();
  try {
    await locking.put('a', chunksOf(contentOf(10)));
    await locking.put('b', chunksOf(large));
    await locking.copy('a', 'c');
    await locking.copy('b', 'd');
    await locking.copy('b', 'LATEST', { replace: true });
    const lockOf = async (key: string) => {
      const { ObjectLockMode: mode, ObjectLockRetainUntilDate: until } = await client.send(
        new HeadObjectCommand({ Bucket: 'locked', Key: `${options.prefix ?? ''}${key}` }),
      );
      return { mode, days: until && Math.round((until.getTime() - Date.now()) / 86_400_000) };
    };
    for (const key of ['a', 'b', 'c', 'd'])
      expect([key, await lockOf(key)]).toEqual([key, { mode: 'COMPLIANCE', days: 30 }]);
    expect(await lockOf('LATEST')).toEqual({ mode: undefined, days: undefined });
  } finally {
    locking.close();
    client.destroy();
  }
});
