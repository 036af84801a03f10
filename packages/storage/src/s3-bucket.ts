import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { S3StoreOptions } from './open-s3-store.ts';
import { retrying, usualRetries, type RetryPolicy } from './retry.ts';
import { isClockRefusal, s3Error } from './s3-errors.ts';
import { s3LocationOf } from './s3-location.ts';
import { SlicedBodies } from './sliced-bodies.ts';

export interface SendOptions {
  /** IAM action that the request needs. */
  action: string;
  /** Key without the store's prefix; left out for requests about the bucket. */
  key?: string;
  signal?: AbortSignal | undefined;
}

/** Headers that every object of a store is made with. */
export interface Making {
  ServerSideEncryption?: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
  SSEKMSKeyId?: string;
  StorageClass?: 'STANDARD';
  ObjectLockMode?: 'GOVERNANCE' | 'COMPLIANCE';
  ObjectLockRetainUntilDate?: Date;
}

/** How long to wait for a connection at most: a host that is up answers within one retransmission or two. */
const connectionTimeoutMs = 10_000;

const dayMs = 86_400_000;

/** One prefix of one bucket and the connections to it: where requests are sent, and where their errors get their words. */
export class S3Bucket {
  readonly name: string;
  /** Empty, or ending with a slash. */
  readonly prefix: string;
  readonly requestTimeoutMs: number;
  readonly #making: Making;
  readonly #objectLock: S3StoreOptions['objectLock'];
  readonly policy: RetryPolicy;
  /** Until the server says that it does not know `If-None-Match`. */
  knowsConditions = true;
  /** For every request that ends with its answer: a silent socket ends it. */
  readonly client: S3Client;
  /** For GetObject, whose socket is silent as long as its reader likes; the reader watches the server instead. */
  readonly reading: S3Client;

  constructor(options: S3StoreOptions) {
    this.name = options.bucket;
    this.prefix = s3LocationOf(options).prefix;
    this.requestTimeoutMs = options.requestTimeoutMs ?? 60_000;
    // A socket that is silent for longer is ended: see below.
    this.policy = { silenceMs: this.requestTimeoutMs, ...(options.retry ?? usualRetries) };
    this.#objectLock = options.objectLock;
    this.#making = {
      ...(options.sse === undefined ? {} : { ServerSideEncryption: options.sse }),
      ...(options.sseKmsKeyId === undefined ? {} : { SSEKMSKeyId: options.sseKmsKeyId }),
      // Servers other than Amazon's have classes of their own, which the SDK's list cannot know.
      ...(options.storageClass === undefined ? {} : { StorageClass: options.storageClass as 'STANDARD' }),
    };
    const config = clientConfig(options);
    const connectionTimeout = Math.min(connectionTimeoutMs, this.requestTimeoutMs);
    this.client = new S3Client({
      ...config,
      requestHandler: new SlicedBodies({ connectionTimeout, socketTimeout: this.requestTimeoutMs }),
    });
    this.reading = new S3Client({
      ...config,
      credentials: this.client.config.credentials,
      requestHandler: new SlicedBodies({ connectionTimeout, socketTimeout: 0 }),
    });
  }

  /** Headers to make an object with; those that are meant to be replaced are not locked. */
  making(replace: boolean): Making {
    if (this.#objectLock === undefined || replace) return this.#making;
    const { mode, days } = this.#objectLock;
    return { ...this.#making, ObjectLockMode: mode, ObjectLockRetainUntilDate: new Date(Date.now() + days * dayMs) };
  }

  /** `Bucket` and `Key` of a request. */
  at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.name, Key: this.prefix + key };
  }

  /**
   * Awaits a request and gives its errors their words.
   * @throws StorageError; the signal's reason where that ended it
   */
  async ask<T>(options: SendOptions, send: (signal: { abortSignal?: AbortSignal }) => Promise<T>): Promise<T> {
    const { action, key, signal } = options;
    signal?.throwIfAborted();
    const on = signal ? { abortSignal: signal } : {};
    try {
      return await send(on).catch(async (error: unknown) => {
        // By the refusal's date the SDK knows how far this machine's clock is off, and signs the next request by the server's.
        if (isClockRefusal(error) && signal?.aborted !== true) return await send(on);
        throw error;
      });
    } catch (error) {
      signal?.throwIfAborted();
      const about = key === undefined ? {} : { key: this.prefix + key };
      throw s3Error(error, { action, bucket: this.name, prefix: this.prefix, ...about });
    }
  }

  /** {@link ask}, again and again while it fails in a passing way. */
  async askUntilAnswered<T>(
    options: SendOptions,
    send: (signal: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    return await this.retry(options.signal, async () => await this.ask(options, send));
  }

  /** Does a step again and again while it fails in a passing way. */
  async retry<T>(signal: AbortSignal | undefined, step: () => Promise<T>): Promise<T> {
    return await retrying(step, this.policy, signal);
  }

  close(): void {
    this.client.destroy();
    this.reading.destroy();
  }
}

function clientConfig(options: S3StoreOptions): S3ClientConfig {
  const region = options.region ?? (options.endpoint === undefined ? undefined : 'us-east-1');
  return {
    ...(region === undefined ? {} : { region }),
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    forcePathStyle: options.forcePathStyle ?? options.endpoint !== undefined,
    // One place retries, and it is ours: it knows what may be sent again, and what a lost answer means.
    maxAttempts: 1,
    followRegionRedirects: true,
    // With the header the SDK opens a new connection, and does a new TLS handshake, for every part.
    expectContinueHeader: false,
    // The newer checksums are trailers that other servers do not know; each part carries its MD5 instead.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  };
}
