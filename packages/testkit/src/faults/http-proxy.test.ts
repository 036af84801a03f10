import {
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startS3, type S3Server } from '../s3/server.ts';
import { startHttpFaultProxy, type HttpFaultProxy } from './http-proxy.ts';

const Bucket = 'faulty';

describe('startHttpFaultProxy', () => {
  let server: S3Server;
  let proxy: HttpFaultProxy;
  let client: S3Client;
  beforeAll(async () => {
    server = await startS3();
    await server.createBucket(Bucket);
  });
  afterAll(async () => {
    await server.stop();
  });
  beforeEach(async () => {
    proxy = await startHttpFaultProxy({ to: server.endpoint });
    client = new S3Client({
      endpoint: proxy.endpoint,
      region: server.region,
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
    });
  });
  afterEach(async () => {
    client.destroy();
    await proxy.stop();
  });

  const put = async (Key: string, Body: string | Buffer = 'body'): Promise<unknown> =>
    await client.send(new PutObjectCommand({ Bucket, Key, Body }));
  const existsBehind = async (Key: string): Promise<boolean> => {
    const direct = server.client();
    const found = await direct.send(new HeadObjectCommand({ Bucket, Key })).then(
      () => true,
      () => false,
    );
    direct.destroy();
    return found;
  };

  it('keeps signatures, bodies of several MB and odd keys as they are', async () => {
    const body = Buffer.alloc(5_000_000, 'proxied');
    const key = 'a b+c/ü&%=.sql.gz';
    await put(key, body);
    const got = await client.send(new GetObjectCommand({ Bucket, Key: key, Range: 'bytes=10-4999999' }));
    expect(body.subarray(10).equals(await got.Body!.transformToByteArray())).toBe(true);
    expect(proxy.requests.map(({ method, status }) => [method, status])).toEqual([
      ['PUT', 200],
      ['GET', 206],
    ]);
    expect(proxy.requests[0]?.bodyBytes).toBeGreaterThanOrEqual(body.length);
    expect(proxy.requests.map(({ answerBytes }) => answerBytes)).toEqual([0, body.length - 10]);
    expect(proxy.requests[0]?.headers.host).toBe(`127.0.0.1:${proxy.port}`);
  });

  it.each([
    [500, 'InternalError'],
    [503, 'SlowDown'],
    [403, 'AccessDenied'],
  ])('answers %i %s without asking the server', async (status, code) => {
    proxy.add({ method: 'PUT', pathIncludes: code, fault: { status, code } });
    const failed = put(`never-${code}`, Buffer.alloc(3_000_000));
    await expect(failed).rejects.toMatchObject({ name: code, $metadata: { httpStatusCode: status } });
    expect(await existsBehind(`never-${code}`)).toBe(false);
    expect(proxy.requests[0]).toMatchObject({ fault: { status, code } });
    expect(proxy.requests[0]).not.toHaveProperty('status');
    await put('other');
  });

  it('meets the nth request of a kind, and so many from there', async () => {
    proxy.add({ pathIncludes: 'counted', nth: 2, times: 2, fault: { status: 503, code: 'SlowDown' } });
    const outcomes: string[] = [];
    for (let at = 1; at <= 5; at++) {
      outcomes.push(
        await put('counted').then(
          () => 'ok',
          (error: Error) => error.name,
        ),
      );
    }
    expect(outcomes).toEqual(['ok', 'SlowDown', 'SlowDown', 'ok', 'ok']);
  });

  it('picks one part of an upload by its query', async () => {
    proxy.add({ queryIncludes: 'partNumber=2', nth: 1, fault: { status: 500, code: 'InternalError' } });
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'parts' }));
    const part = async (PartNumber: number): Promise<unknown> =>
      await client.send(new UploadPartCommand({ Bucket, Key: 'parts', UploadId, PartNumber, Body: 'x' }));
    await part(1);
    await expect(part(2)).rejects.toMatchObject({ name: 'InternalError' });
    await part(2);
  });

  it('resets before the server has seen anything', async () => {
    proxy.add({ method: 'PUT', fault: 'reset' });
    await expect(put('reset')).rejects.toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) });
    expect(await existsBehind('reset')).toBe(false);
  });

  it('stalls until the client gives up', async () => {
    proxy.add({ method: 'GET', fault: 'stall' });
    const abortSignal = AbortSignal.timeout(200);
    const listed = client.send(new ListObjectsV2Command({ Bucket }), { abortSignal });
    await expect(listed).rejects.toThrow(/abort/i);
    expect(proxy.requests[0]).toMatchObject({ fault: 'stall' });
  });

  it('carries the request out and drops the answer', async () => {
    proxy.add({ method: 'PUT', fault: 'drop' });
    await expect(put('dropped')).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await existsBehind('dropped')).toBe(true);
    expect(proxy.requests[0]?.status).toBe(200);
  });

  it('breaks an answer off half-way', async () => {
    await put('long', Buffer.alloc(2_000_000, 'x'));
    proxy.add({ method: 'GET', fault: 'truncate' });
    const got = await client.send(new GetObjectCommand({ Bucket, Key: 'long' }));
    await expect(got.Body!.transformToByteArray()).rejects.toThrow(/aborted|reset/i);
    expect(proxy.requests[1]?.answerBytes).toBe(1_000_000);
  });

  it('forgets its rules when told to', async () => {
    proxy.add({ fault: 'reset' });
    proxy.clear();
    await put('clear');
    expect(await existsBehind('clear')).toBe(true);
  });
});
