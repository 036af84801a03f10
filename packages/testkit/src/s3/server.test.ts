import {
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { s3Available, startS3, type S3Server } from './server.ts';

describe('startS3', () => {
  let server: S3Server;
  let other: S3Server;
  beforeAll(async () => {
    [server, other] = await Promise.all([startS3(), startS3({ memoryBytes: 64 * 1024 ** 2 })]);
  });
  afterAll(async () => {
    await Promise.all([server.stop(), other.stop()]);
  });

  it('says that this machine can', () => {
    expect(s3Available()).toBe(true);
  });

  it('keeps and gives back bytes, and versions where asked', async () => {
    await server.createBucket('versioned', { versioning: true });
    const client = server.client();
    const body = Buffer.alloc(3_000_000, 'strideiq');
    await client.send(new PutObjectCommand({ Bucket: 'versioned', Key: 'a/b c+ü', Body: 'old' }));
    await client.send(new PutObjectCommand({ Bucket: 'versioned', Key: 'a/b c+ü', Body: body }));
    const got = await client.send(new GetObjectCommand({ Bucket: 'versioned', Key: 'a/b c+ü' }));
    expect(body.equals(await got.Body!.transformToByteArray())).toBe(true);
    const { Versions } = await client.send(new ListObjectVersionsCommand({ Bucket: 'versioned' }));
    expect(Versions).toHaveLength(2);
    client.destroy();
  });

  it('locks objects where asked', async () => {
    await server.createBucket('locked', { objectLock: true });
    const client = server.client();
    const answer = await client.send(new GetObjectLockConfigurationCommand({ Bucket: 'locked' }));
    expect(answer.ObjectLockConfiguration?.ObjectLockEnabled).toBe('Enabled');
    client.destroy();
  });

  it('keeps other users out', async () => {
    await server.createBucket('private');
    const client = server.client(await server.createUser('stranger'));
    const put = client.send(new PutObjectCommand({ Bucket: 'private', Key: 'x', Body: 'x' }));
    await expect(put).rejects.toMatchObject({ name: 'AccessDenied' });
    client.destroy();
  });

  it('runs beside another, which knows nothing of its buckets', async () => {
    await server.createBucket('only-here');
    const client = other.client();
    const put = client.send(new PutObjectCommand({ Bucket: 'only-here', Key: 'x', Body: 'x' }));
    await expect(put).rejects.toMatchObject({ name: 'NoSuchBucket' });
    client.destroy();
  });
});
