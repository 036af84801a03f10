import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { startS3, type S3Server } from '@strideiq/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openS3Store, type S3StoreOptions } from './open-s3-store.ts';
import type { Store } from './store.ts';
import { describeStore, type OpenedStore } from './testing/conformance.ts';
import { all, chunksOf, collect, contentOf, sha256Of } from './testing/content.ts';
import { withLimits } from './with-limits.ts';
import { withRetry } from './with-retry.ts';

let server: S3Server;
beforeAll(async () => {
  server = await startS3();
});
afterAll(async () => {
  await server.stop();
});

function optionsFor(bucket: string, keys: { accessKey: string; secretKey: string } = server): S3StoreOptions {
  const credentials = { accessKeyId: keys.accessKey, secretAccessKey: keys.secretKey };
  return { bucket, prefix: 'back ups+/', endpoint: server.endpoint, credentials };
}

async function openIn(bucket: string, decorate = (store: Store): Store => store): Promise<OpenedStore> {
  await server.createBucket(bucket);
  return { store: decorate(await openS3Store(optionsFor(bucket))), presigns: true };
}

describeStore('an S3 store', async () => await openIn('plain'));
describeStore('an S3 store with retry and limits', async () => {
  return await openIn('decorated', (store) => withLimits(withRetry(store), { transfers: 4 }));
});
describeStore('an S3 store with parts of 5 MiB, copying in parts', async () => {
  await server.createBucket('parted');
  const partBytes = 5 * 1024 ** 2;
  const options = { ...optionsFor('parted'), partBytes, partsInFlight: 2, largestCopyBytes: partBytes };
  return { store: await openS3Store(options), partBytes, holdsBytes: 3 * partBytes + 1024 ** 2, presigns: true };
});

describe('an S3 store', () => {
  const stores: Store[] = [];
  const open = async (options: S3StoreOptions): Promise<Store> => {
    const store = await openS3Store(options);
    stores.push(store);
    return store;
  };
  afterAll(() => {
    for (const store of stores) store.close();
  });

  test('lists more than one page, in order', async () => {
    await server.createBucket('pages');
    const store = await open(optionsFor('pages'));
    const keys = Array.from({ length: 1005 }, (_, at) => `n/${String(at).padStart(4, '0')}`);
    for (let at = 0; at < keys.length; at += 50) {
      await Promise.all(keys.slice(at, at + 50).map(async (key) => await store.put(key, chunksOf(Buffer.from(key)))));
    }
    expect((await all(store.list('n/'))).map(({ key }) => key)).toEqual(keys);
  });

  test('keeps to its prefix', async () => {
    await server.createBucket('shared');
    const [one, other] = [
      await open({ ...optionsFor('shared'), prefix: 'one' }),
      await open({ ...optionsFor('shared'), prefix: 'one-more/' }),
    ];
    await one.put('x', chunksOf(contentOf(1)));
    await other.put('y', chunksOf(contentOf(1)));
    expect((await all(one.list())).map(({ key }) => key)).toEqual(['x']);
    expect((await all(other.list())).map(({ key }) => key)).toEqual(['y']);
    expect(one.location).toBe('s3://shared/one/');
  });

  test('sends larger parts where a large object is foreseen', async () => {
    await server.createBucket('foreseen');
    const store = await open(optionsFor('foreseen'));
    const client = server.client();
    const content = contentOf(60_000_000);
    const partsOf = async (key: string): Promise<string | undefined> => {
      const { ETag } = await client.send(new HeadObjectCommand({ Bucket: 'foreseen', Key: `back ups+/${key}` }));
      return /-(\d+)"$/.exec(ETag ?? '')?.[1];
    };
    try {
      await store.put('small', chunksOf(content), { expectedBytes: content.length });
      expect(await partsOf('small')).toBe('8');
      await store.put('large', chunksOf(content), { expectedBytes: 200 * 1024 ** 3 });
      expect(await partsOf('large')).toBe('2');
      expect(sha256Of(await collect(await store.get('large')))).toBe(sha256Of(content));
    } finally {
      client.destroy();
    }
  });

  test('in a bucket with versions shows the newest, and nothing of what was deleted', async () => {
    await server.createBucket('versioned', { versioning: true });
    const store = await open(optionsFor('versioned'));
    await store.put('LATEST', chunksOf(contentOf(9_000_000, 1)));
    await store.put('LATEST', chunksOf(contentOf(10, 2)), { replace: true });
    await store.copy('LATEST', 'copy');
    expect((await collect(await store.get('LATEST'))).equals(contentOf(10, 2))).toBe(true);
    await store.delete('LATEST');
    expect(await store.head('LATEST')).toBeUndefined();
    await expect(store.get('LATEST')).rejects.toMatchObject({ code: 'ObjectMissing' });
    expect(await all(store.list())).toMatchObject([{ key: 'copy', sizeBytes: 10 }]);
    await store.put('LATEST', chunksOf(contentOf(11)));
    expect(await store.head('LATEST')).toMatchObject({ sizeBytes: 11 });
  });

  test('an upload that another began earlier and left stands in the way until it is discarded', async () => {
    await server.createBucket('left');
    const store = await open(optionsFor('left'));
    const content = contentOf(9_000_000);
    let inner: unknown;
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* chunksOf(content);
      // The outer upload has begun once it is listed.
      await expect.poll(async () => await all(store.unfinished('key'))).toHaveLength(1);
      inner = await store.put('key', chunksOf(content)).catch((error: unknown) => error);
    }
    await store.put('key', source());
    expect(inner).toMatchObject({ code: 'ObjectExists', message: expect.stringContaining('another upload') as string });
    expect(sha256Of(await collect(await store.get('key')))).toBe(sha256Of(content));
    expect(await all(store.unfinished())).toEqual([]);
  });

  test('what Object Lock keeps is not deleted, and the error says until when', async () => {
    const { PutObjectRetentionCommand } = await import('@aws-sdk/client-s3');
    await server.createBucket('locked', { objectLock: true });
    const store = await open(optionsFor('locked'));
    await store.put('kept', chunksOf(Buffer.from('kept')));
    await store.put('free', chunksOf(Buffer.from('free')));
    const RetainUntilDate = new Date(Math.ceil(Date.now() / 1000) * 1000 + 86_400_000);
    const client = server.client();
    const Retention = { Mode: 'GOVERNANCE' as const, RetainUntilDate };
    await client.send(new PutObjectRetentionCommand({ Bucket: 'locked', Key: 'back ups+/kept', Retention }));
    client.destroy();
    await expect(store.delete('kept')).rejects.toMatchObject({
      code: 'ObjectLocked',
      message: expect.stringContaining(RetainUntilDate.toISOString()) as string,
    });
    expect((await collect(await store.get('kept'))).toString()).toBe('kept');
    await store.delete('free');
    expect(await store.head('free')).toBeUndefined();
  });

  describe('refused', () => {
    /** The code that every call of a store fails with. */
    const codesOf = async (store: Store): Promise<unknown[]> => {
      const calls: (() => Promise<unknown>)[] = [
        async () => await store.put('x', chunksOf(contentOf(10))),
        async () => await store.put('x', chunksOf(contentOf(10)), { replace: true }),
        async () => await store.put('x', chunksOf(contentOf(9_000_000)), { replace: true }),
        async () => await store.get('x'),
        async () => await store.head('x'),
        async () => await all(store.list()),
        async () => await store.copy('x', 'y'),
        async () => await store.delete('x'),
        async () => await all(store.unfinished()),
      ];
      const results = await Promise.allSettled(calls.map(async (call) => await call()));
      return results.map((result) =>
        result.status === 'rejected' ? (result.reason as { code: string }).code : 'fine',
      );
    };
    const each = (code: string): string[] => Array.from({ length: 9 }, () => code);

    test('for want of the bucket', async () => {
      expect(await codesOf(await open(optionsFor('nowhere')))).toEqual(each('BucketMissing'));
    });

    test('for a wrong secret', async () => {
      const wrong = { accessKey: server.accessKey, secretKey: 'wrong' };
      await server.createBucket('secret');
      expect(await codesOf(await open(optionsFor('secret', wrong)))).toEqual(each('CredentialsInvalid'));
    });

    test('for an unknown access key', async () => {
      const unknown = { accessKey: 'unknown', secretKey: 'wrong' };
      expect(await codesOf(await open(optionsFor('secret', unknown)))).toEqual(each('CredentialsInvalid'));
    });

    test('for want of rights, naming each right and what it is needed on', async () => {
      await server.createBucket('foreign');
      const store = await open(optionsFor('foreign', await server.createUser('stranger')));
      expect(await codesOf(store)).toEqual(each('AccessDenied'));
      await expect(store.put('x', chunksOf(contentOf(10)))).rejects.toMatchObject({
        message: expect.stringContaining('s3:PutObject on s3://foreign/back ups+/x') as string,
        cure: expect.stringContaining('Grant s3:PutObject on arn:aws:s3:::foreign/back ups+/*') as string,
      });
      await expect(all(store.list())).rejects.toMatchObject({
        cure: expect.stringContaining('Grant s3:ListBucket on arn:aws:s3:::foreign,') as string,
      });
    });

    test('for want of a server', async () => {
      const retry = { retries: 1, firstDelayMs: 1, longestDelayMs: 1 };
      const store = await open({ ...optionsFor('plain'), endpoint: 'http://127.0.0.1:1', retry });
      expect(await codesOf(store)).toEqual(each('StorageUnreachable'));
    });
  });
});
