import { startS3, type S3Server } from '@strideiq/testkit';
import { afterAll, beforeAll } from 'vitest';

/** An S3 server with this bucket, for the tests of the `describe` that asks for it; there once they run. */
export function ownS3(bucket: string): () => S3Server {
  let server: S3Server;
  beforeAll(async () => {
    server = await startS3();
    await server.createBucket(bucket);
  });
  afterAll(async () => {
    await server.stop();
  });
  return () => server;
}
