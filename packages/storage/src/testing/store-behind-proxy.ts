import { startHttpFaultProxy, startS3, type HttpFaultProxy, type S3Server } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { openS3Store, type S3StoreOptions } from '../open-s3-store.ts';
import type { Store } from '../store.ts';

/** Few and quick, so that a store gives up while a test waits. */
export const retry = { retries: 3, firstDelayMs: 1, longestDelayMs: 5 };

/** An S3 store in a bucket of its own, whose server can be made to fail. */
export interface StoreBehindProxy {
  server: S3Server;
  proxy: HttpFaultProxy;
  /** Of {@link store}. */
  options: S3StoreOptions;
  /** Through the proxy. */
  store: Store;
  /** Straight to the server: what is really there. */
  truth: Store;
}

/** Makes one before each test of a file, and ends it after that. */
export function beforeEachStoreBehindProxy(use: (made: StoreBehindProxy) => void): void {
  let server: S3Server;
  let made: StoreBehindProxy;
  beforeAll(async () => {
    server = await startS3();
  });
  afterAll(async () => {
    await server.stop();
  });
  beforeEach(async () => {
    const bucket = `behind-proxy-${crypto.randomUUID()}`;
    await server.createBucket(bucket);
    const proxy = await startHttpFaultProxy({ to: server.endpoint });
    const credentials = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey };
    const options = { bucket, prefix: 'p/', endpoint: proxy.endpoint, credentials, retry, requestTimeoutMs: 1_000 };
    const store = await openS3Store(options);
    const truth = await openS3Store({ ...options, endpoint: server.endpoint });
    made = { server, proxy, options, store, truth };
    use(made);
  });
  afterEach(async () => {
    made.store.close();
    made.truth.close();
    await made.proxy.stop();
  });
}
