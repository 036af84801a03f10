import type { Readable } from 'node:stream';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { tellingEnd } from './closing.ts';
import { StorageError } from './errors.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { s3Error } from './s3-errors.ts';
import type { ByteRange } from './store.ts';
import { signalOr } from './take.ts';

/**
 * Requests an object or a range of it. The server's silence is what is timed, never the reader's: a restore may stand
 * still for an hour while an index is built.
 */
export async function getObject(
  bucket: S3Bucket,
  key: string,
  range: ByteRange | undefined,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<Uint8Array>> {
  const stalled = new AbortController();
  const timer = setTimeout(() => {
    stalled.abort(silence(bucket, key));
  }, bucket.requestTimeoutMs);
  const either = AbortSignal.any([signalOr(signal), stalled.signal]);
  const request = { ...bucket.at(key), ...(range ? { Range: headerOf(range) } : {}) };
  try {
    const answer = await bucket.ask({ action: 's3:GetObject', key, signal: either }, async (on) => {
      return await bucket.reading.send(new GetObjectCommand(request), on);
    });
    const body = answer.Body as Readable;
    return tellingEnd(read(bucket, key, body, answer.ContentLength, signal), () => {
      body.destroy();
    });
  } finally {
    clearTimeout(timer);
  }
}

function headerOf({ offset, length }: ByteRange): string {
  return `bytes=${offset}-${length === undefined ? '' : offset + length - 1}`;
}

async function* read(
  bucket: S3Bucket,
  key: string,
  body: Readable,
  expectedBytes: number | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  const onAbort = (): void => {
    body.destroy(signal?.reason as Error);
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  let receivedBytes = 0;
  try {
    for (;;) {
      signal?.throwIfAborted();
      // Anew for each chunk: a timer that was cleared stays so, whatever refreshes it.
      const timer = setTimeout(() => body.destroy(silence(bucket, key)), bucket.requestTimeoutMs);
      const next = await chunks.next().finally(() => {
        clearTimeout(timer);
      });
      if (next.done === true) break;
      receivedBytes += next.value.length;
      yield next.value;
    }
    if (expectedBytes !== undefined && receivedBytes !== expectedBytes) {
      throw cutShort(bucket, key, receivedBytes, expectedBytes);
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw s3Error(error, {
      action: 's3:GetObject',
      bucket: bucket.name,
      prefix: bucket.prefix,
      key: bucket.prefix + key,
    });
  } finally {
    signal?.removeEventListener('abort', onAbort);
    body.destroy();
  }
}

const cure = 'See that the endpoint is reachable and not overloaded; the same read may succeed on another try.';

function silence(bucket: S3Bucket, key: string): StorageError {
  const what = `s3://${bucket.name}/${bucket.prefix}${key}: no byte came for ${bucket.requestTimeoutMs / 1000} s.`;
  return new StorageError('StorageUnreachable', what, cure);
}

function cutShort(bucket: S3Bucket, key: string, receivedBytes: number, expectedBytes: number): StorageError {
  const what = `s3://${bucket.name}/${bucket.prefix}${key} ended after ${receivedBytes} of ${expectedBytes} bytes.`;
  return new StorageError('StorageUnreachable', what, cure);
}
