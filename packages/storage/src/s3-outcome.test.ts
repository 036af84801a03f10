import { PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openS3Store } from './open-s3-store.ts';
import type { Store } from './store.ts';
import { all, chunksOf, collect, contentOf, sha256Of } from './testing/content.ts';
import { beforeEachStoreBehindProxy, retry, type StoreBehindProxy } from './testing/store-behind-proxy.ts';
import { withRetry } from './with-retry.ts';

/** What a put and a copy may say once the server's answers are lost or misleading: the truth, or that it is not known. */
const large = contentOf(9_000_000);
const small = contentOf(1_000);
const every = retry.retries + 1;
const failing = { status: 500, code: 'InternalError' };

let { server, proxy, options, store, truth } = {} as StoreBehindProxy;
beforeEachStoreBehindProxy((made) => {
  ({ server, proxy, options, store, truth } = made);
});
afterEach(() => {
  vi.useRealTimers();
});

async function expectStored(key: string, content: Uint8Array): Promise<void> {
  expect(sha256Of(await collect(await truth.get(key)))).toBe(sha256Of(content));
  expect(await all(truth.unfinished())).toEqual([]);
}

describe('a completion whose answers are all lost, as is that to the look for its object', () => {
  beforeEach(() => {
    proxy.add({ method: 'POST', queryIncludes: 'uploadId=', nth: 1, times: every, fault: 'drop' });
  });

  test('is a put that succeeded: the upload is gone because its object stands', async () => {
    // Two looks for what is in the way come before.
    proxy.add({ method: 'HEAD', nth: 3, fault: failing });
    expect(await store.put('x', chunksOf(large))).toMatchObject({ key: 'x', sizeBytes: large.length });
    await expectStored('x', large);
    expect(proxy.requests.filter(({ fault }) => fault === failing)).toHaveLength(1);
  });

  test('is not taken for somebody else’s object', async () => {
    const other = await openS3Store({ ...options, endpoint: server.endpoint });
    proxy.clear();
    // Never carried out, while another stores an object of the same size.
    proxy.add({ method: 'POST', queryIncludes: 'uploadId=', fault: { status: 404, code: 'NoSuchUpload' } });
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* chunksOf(large);
    }
    const putting = store.put('x', source(), { replace: true });
    await expect(putting).rejects.toMatchObject({ code: 'StorageUnusable' });
    await other.put('x', chunksOf(contentOf(large.length, 2)));
    await expect(store.put('x', chunksOf(large), { replace: true })).rejects.toMatchObject({ code: 'StorageUnusable' });
    other.close();
    await expectStored('x', contentOf(large.length, 2));
  });
});

test('a small put whose outcome cannot be asked says so', async () => {
  proxy.add({ method: 'PUT', fault: 'drop' });
  proxy.add({ method: 'HEAD', nth: 2, times: 100, fault: failing });
  await expect(store.put('x', chunksOf(small))).rejects.toMatchObject({
    code: 'StorageUnreachable',
    message: expect.stringContaining(
      `Whether s3://${options.bucket}/p/x was made all the same could not be asked`,
    ) as string,
    cure: expect.stringContaining('Look whether that object is there') as string,
  });
});

describe('a copy that is tried again after it took effect unseen', () => {
  test.each([
    ['at once', small, { method: 'PUT' }],
    ['in parts', large, { method: 'POST', queryIncludes: 'uploadId=' }],
  ])('%s: finds its own object, and is a success', async (_, content, where) => {
    const copying = await openS3Store({ ...options, largestCopyBytes: 5 * 1024 ** 2 });
    await truth.put('from', chunksOf(content));
    proxy.add({ ...where, nth: 1, times: every, fault: 'drop' });
    // Looks at the source, for its own earlier object, for what is in the way; the next is for what it made.
    proxy.add({ method: 'HEAD', nth: content === small ? 4 : 5, fault: failing });
    expect(await withRetry(copying, retry).copy('from', 'to')).toMatchObject({ sizeBytes: content.length });
    expect(proxy.requests.filter(({ fault }) => fault === failing)).toHaveLength(1);
    copying.close();
    await expectStored('to', content);
  });

  test('does not take another’s object for its own', async () => {
    await truth.put('from', chunksOf(small));
    await truth.copy('from', 'to');
    await expect(withRetry(store, retry).copy('from', 'to')).rejects.toMatchObject({ code: 'ObjectExists' });
  });
});

describe.each([
  ['an hour ahead', 3_600_000],
  ['an hour behind', -3_600_000],
])('a clock that is %s', (_, offMs) => {
  test.each([
    ['head', async (off: Store) => await off.head('x')],
    ['head of nothing', async (off: Store) => await off.head('nothing')],
    ['get', async (off: Store) => await collect(await off.get('x'))],
    ['list', async (off: Store) => await all(off.list())],
    ['a small put', async (off: Store) => await off.put('new', chunksOf(small))],
    ['a large put', async (off: Store) => await off.put('new', chunksOf(large))],
    ['copy', async (off: Store) => await off.copy('x', 'y')],
    ['delete', async (off: Store) => await off.delete('x')],
  ])('is no reason for a first %s to fail', async (name, call) => {
    await truth.put('x', chunksOf(small));
    const off = await openS3Store(options);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + offMs });
    await call(off);
    vi.useRealTimers();
    off.close();
    expect(proxy.requests.filter(({ status }) => status === 403)).toHaveLength(1);
    if (name.endsWith('put')) await expectStored('new', name === 'a small put' ? small : large);
  });
});

test('a HEAD that is refused while a GET is not is asked again', async () => {
  await truth.put('x', chunksOf(small));
  proxy.add({ method: 'HEAD', nth: 1, fault: { status: 403, code: 'AccessDenied' } });
  expect(await store.head('x')).toMatchObject({ sizeBytes: small.length });
});

test('who may read but not list is told of both rights when a key is missing', async () => {
  const reader = await server.createUser('reader');
  const client = server.client();
  const Statement = {
    Effect: 'Allow',
    Principal: { AWS: ['arn:aws:iam:::user/reader'] },
    Action: ['s3:GetObject'],
    Resource: [`arn:aws:s3:::${options.bucket}/p/*`],
  };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [Statement] });
  await client.send(new PutBucketPolicyCommand({ Bucket: options.bucket, Policy }));
  client.destroy();
  const credentials = { accessKeyId: reader.accessKey, secretAccessKey: reader.secretKey };
  const reading = await openS3Store({ ...options, credentials });
  await truth.put('x', chunksOf(small));
  expect(await reading.head('x')).toMatchObject({ sizeBytes: small.length });
  const [objects, bucket] = [`s3:GetObject on arn:aws:s3:::${options.bucket}/p/*`, `arn:aws:s3:::${options.bucket}`];
  for (const ask of [async () => await reading.head('nothing'), async () => await reading.get('nothing')]) {
    await expect(ask()).rejects.toMatchObject({
      code: 'AccessDenied',
      cure: expect.stringContaining(`Grant ${objects} and s3:ListBucket on ${bucket} `) as string,
    });
  }
  reading.close();
});
