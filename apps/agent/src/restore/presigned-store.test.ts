import { newId } from '@strideiq/core';
import type { SourceUrls } from '@strideiq/protocol';
import { once, openS3Store, readAll, StorageError, type Store, withRetry } from '@strideiq/storage';
import { s3Available, startS3, waitFor, type S3Server } from '@strideiq/testkit';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AgentError } from '../errors.ts';
import { PresignedStore, type PresignedSource } from './presigned-store.ts';

const keys = { dump: 'app.sql.gz', manifest: 'app.manifest.json', privileges: 'app.privileges.sql.gz' };
const commandId = newId(Date.now());
const opened = new Set<PresignedStore>();
afterEach(() => {
  for (const store of opened) store.close();
  opened.clear();
});

function open(askUrls: PresignedSource['askUrls'], more: Partial<PresignedSource> = {}) {
  const secrets = new Set<string>();
  let asked = 0;
  const counted: PresignedSource['askUrls'] = async (signal) => {
    asked++;
    return askUrls(signal);
  };
  const source = { commandId, keys, askUrls: counted, serverNow: Date.now, secrets, silenceMs: 10_000, ...more };
  const store = new PresignedStore(source);
  opened.add(store);
  return { store, secrets, asked: () => asked };
}

const bytesOf = async (store: Store, key: string, range?: { offset: number; length?: number }) =>
  (await readAll(await store.get(key, range))).toString();

describe.skipIf(!s3Available())('over Ceph RGW', () => {
  let server: S3Server;
  let bucket: Store;
  beforeAll(async () => {
    server = await startS3();
    await server.createBucket('far');
    const credentials = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey };
    bucket = await openS3Store({ bucket: 'far', prefix: 'db/', endpoint: server.endpoint, credentials });
    await bucket.put(keys.dump, once(Buffer.from('0123456789')));
    await bucket.put(keys.manifest, once(Buffer.from('{}')));
    await bucket.put('empty', once(Buffer.alloc(0)));
  });
  afterAll(async () => {
    bucket?.close();
    await server?.stop();
  });

  const url = async (key: string, expiresInSeconds = 60) => {
    if (!bucket.presign) throw new Error('S3 cannot presign');
    return bucket.presign(key, { expiresInSeconds });
  };
  const urls = async (expiresInSeconds = 60, dump = keys.dump): Promise<SourceUrls> => ({
    dump: await url(dump, expiresInSeconds),
    manifest: await url(keys.manifest, expiresInSeconds),
    privileges: null,
    expiresAt: new Date(Date.now() + 60_000).toISOString(),
  });

  test('objects and ranges of them are read, and looked at, by URLs that were asked for once', async () => {
    const { store, asked, secrets } = open(async () => urls());
    const [whole, range, rest, head, manifest] = await Promise.all([
      bytesOf(store, keys.dump),
      bytesOf(store, keys.dump, { offset: 2, length: 3 }),
      bytesOf(store, keys.dump, { offset: 7 }),
      store.head(keys.dump),
      bytesOf(store, keys.manifest),
    ]);
    expect([whole, range, rest, manifest]).toEqual(['0123456789', '234', '789', '{}']);
    expect(head).toEqual({ key: keys.dump, sizeBytes: 10, modifiedAt: (await bucket.head(keys.dump))?.modifiedAt });
    expect(asked()).toBe(1);
    const signature = new URL(await url(keys.dump)).searchParams.get('X-Amz-Credential') ?? '';
    expect(secrets.has(signature)).toBe(true);
    store.close();
    expect(secrets.size).toBe(0);
  });

  test('an empty object, a missing one, one that the backup does not have, a range past the end', async () => {
    const empty = open(async () => urls(60, 'empty')).store;
    expect([await empty.head(keys.dump), await bytesOf(empty, keys.dump)]).toMatchObject([{ sizeBytes: 0 }, '']);
    const gone = open(async () => urls(60, 'gone')).store;
    expect(await gone.head(keys.dump)).toBeUndefined();
    await expect(gone.get(keys.dump)).rejects.toMatchObject({ code: 'ObjectMissing' });
    const { store } = open(async () => urls());
    expect(await store.head(keys.privileges)).toBeUndefined();
    await expect(store.get(keys.dump, { offset: 20, length: 1 })).rejects.toMatchObject({ code: 'RangeInvalid' });
  });

  test('URLs that have expired are asked for anew, once for all who wait', async () => {
    let first = true;
    const { store, asked } = open(async () => {
      const given = await urls(first ? 1 : 60);
      first = false;
      return given;
    });
    const old = await url(keys.dump, 1);
    await waitFor('URLs that have expired', async () => (await fetch(old)).status === 403, { everyMs: 100 });
    // Those that the store is given first are made by now; the server's clock has seconds alone.
    expect(await bytesOf(store, keys.manifest)).toBe('{}');
    await waitFor('those of the store too', async () => {
      await Promise.all([store.head(keys.dump), bytesOf(store, keys.dump), bytesOf(store, keys.manifest)]);
      return asked() > 1;
    });
    expect(asked()).toBe(2);
  });

  test('URLs that are about to expire by the control plane’s clock are not used any more', async () => {
    let serverNow = Date.now();
    const { store, asked } = open(async () => urls(), { serverNow: () => serverNow });
    await store.head(keys.dump);
    serverNow += 29_000;
    await store.head(keys.dump);
    expect(asked()).toBe(1);
    serverNow += 2_000;
    await store.head(keys.dump);
    expect(asked()).toBe(2);
  });

  test('where new URLs are no better, that is said after two tries', async () => {
    const wrong = async () => {
      const given = await urls();
      return { ...given, dump: given.dump.replace(/Signature=.{8}/, 'Signature=00000000') };
    };
    const { store, asked } = open(wrong);
    await expect(store.get(keys.dump)).rejects.toMatchObject({ code: 'AccessDenied' });
    expect(asked()).toBe(2);
  });

  test('nothing can be put, listed or removed', async () => {
    const { store } = open(async () => urls());
    const tries = [store.put(), store.copy(), store.delete(), Array.fromAsync(store.list())];
    const ends = await Promise.allSettled(tries);
    expect(ends.map((end) => end.status === 'rejected' && (end.reason as StorageError).code)).toEqual(
      Array(4).fill('StorageUnusable'),
    );
  });
});

describe('a server that does not do as it should', () => {
  let server: Server | undefined;
  afterEach(async () => {
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    server = undefined;
  });

  async function serve(answer: RequestListener): Promise<() => Promise<SourceUrls>> {
    server = createServer(answer);
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const expiresAt = new Date(Date.now() + 600_000).toISOString();
    return () =>
      Promise.resolve({ dump: `${at}/dump`, manifest: `${at}/manifest`, privileges: `${at}/privileges`, expiresAt });
  }

  test.each([
    ['answers 503', 503, {}, 'StorageBusy'],
    ['answers 404', 404, {}, 'ObjectMissing'],
    ['points elsewhere', 307, { location: 'http://127.0.0.1:1/' }, 'StorageUnusable'],
    ['gives the whole where a part was asked for', 200, {}, 'StorageUnusable'],
    ['gives another part', 206, { 'content-range': 'bytes 0-2/10' }, 'StorageUnusable'],
  ])('that %s', async (_, status, headers, code) => {
    const { store } = open(await serve((_, response) => response.writeHead(status, headers).end('abc')));
    await expect(store.get(keys.dump, { offset: 5, length: 3 })).rejects.toMatchObject({ code });
  });

  test('that would fill the memory', async () => {
    const { store } = open(
      await serve((_, response) => void response.writeHead(200, { 'content-length': 2 ** 31 }).write('a')),
    );
    await expect(store.get(keys.manifest)).rejects.toMatchObject({ code: 'StorageUnusable' });
    await expect(store.get(keys.privileges)).rejects.toMatchObject({ code: 'StorageUnusable' });
  });

  test('that says nothing, or breaks off', async () => {
    const askUrls = await serve(({ url }, response) => {
      if (url === '/dump') response.writeHead(200, { 'content-length': 10 }).write('abc');
      if (url === '/privileges')
        response.writeHead(200, { 'content-length': 10 }).write('abc', () => response.destroy());
    });
    const { store } = open(askUrls, { silenceMs: 200 });
    for (const key of Object.values(keys)) {
      await expect(bytesOf(store, key)).rejects.toMatchObject({ code: 'StorageUnreachable' });
    }
  });

  test('whose line breaks in the middle: the read goes on where it was', async () => {
    const content = 'x'.repeat(200_000);
    let cuts = 2;
    const askUrls = await serve(({ headers }, response) => {
      const [, first = '0', last = String(content.length - 1)] = /bytes=(\d+)-(\d*)/.exec(headers.range ?? '') ?? [];
      const part = content.slice(Number(first), last === '' ? undefined : Number(last) + 1);
      const range = `bytes ${first}-${Number(first) + part.length - 1}/${content.length}`;
      response.writeHead(206, { 'content-length': part.length, 'content-range': range });
      if (part.length > 1 && cuts-- > 0) response.write(part.slice(0, 50_000), () => response.destroy());
      else response.end(part);
    });
    const policy = { retries: 5, firstDelayMs: 1, longestDelayMs: 1 };
    const store = withRetry(open(askUrls).store, policy);
    expect(await bytesOf(store, keys.dump, { offset: 0 })).toBe(content);
  });

  test('a read that nobody wants any more ends, and leaves no connection', async () => {
    const askUrls = await serve((_, response) => void response.writeHead(200, { 'content-length': 1000 }).write('abc'));
    const { store } = open(askUrls);
    const unread = await store.get(keys.dump);
    await unread[Symbol.asyncIterator]().return?.();
    const interruption = new AbortController();
    const stream = await store.get(keys.dump, undefined, { signal: interruption.signal });
    const pieces = stream[Symbol.asyncIterator]();
    await pieces.next();
    interruption.abort(new AgentError('Interrupted', 'Ctrl-C.'));
    await expect(pieces.next()).rejects.toMatchObject({ code: 'Interrupted' });
    await waitFor(
      'no connection',
      () =>
        new Promise((resolve, reject) =>
          server?.getConnections((error, count) => (error ? reject(error) : resolve(count === 0))),
        ),
    );
  });
});

test('a control plane that gives no URLs now may give some later; one that refuses does not', async () => {
  const refusing = (code: AgentError['code']) => open(() => Promise.reject(new AgentError(code, 'No.'))).store;
  await expect(refusing('ControlPlaneUnreachable').get(keys.dump)).rejects.toMatchObject({ transient: true });
  await expect(refusing('CopyUnreachable').get(keys.dump)).rejects.toMatchObject({ code: 'CopyUnreachable' });
});
