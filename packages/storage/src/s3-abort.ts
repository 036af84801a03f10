import { setTimeout as sleep } from 'node:timers/promises';
import { AbortMultipartUploadCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { StorageError } from './errors.ts';
import { isTransient } from './retry.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { s3CodeOf } from './s3-errors.ts';

/** How long to try: whoever waits for the put to fail should not wait for ever, and `unfinished` shows what stays. */
const longestAbortMs = 30_000;

/**
 * Ends a multipart upload, and asks until the server says that it is gone: a part that was still on its way can land
 * after the first abort and live on, invisible and paid for (S3 API Reference, "AbortMultipartUpload").
 * @throws StorageError where it could not be ended
 */
export async function abortUpload(bucket: S3Bucket, key: string, UploadId: string): Promise<void> {
  const at = { ...bucket.at(key), UploadId };
  const limitMs = Math.min(longestAbortMs, bucket.requestTimeoutMs);
  const end = AbortSignal.timeout(limitMs);
  for (let delayMs = 50; ; delayMs = Math.min(2 * delayMs, 5_000)) {
    // One request that gets no answer must leave time for others.
    const signal = AbortSignal.any([end, AbortSignal.timeout(Math.ceil(limitMs / 3))]);
    const aborting = { action: 's3:AbortMultipartUpload', key, signal };
    const asking = { action: 's3:ListMultipartUploadParts', key, signal };
    try {
      await bucket
        .ask(aborting, async (on) => await bucket.client.send(new AbortMultipartUploadCommand(at), on))
        .catch(unlessGone);
      await bucket.ask(asking, async (on) => await bucket.client.send(new ListPartsCommand(at), on));
    } catch (error) {
      if (isGone(error)) return;
      // Without the right to ask, the abort's own answer has to do.
      if (error instanceof StorageError && error.code === 'AccessDenied' && isAboutAsking(error)) return;
      if (end.aborted) throw stays(bucket, key, error);
      if (!isTransient(error) && !signal.aborted) throw error;
    }
    await sleep(delayMs, undefined, { signal: end }).catch((error: unknown) => {
      throw stays(bucket, key, error);
    });
  }
}

function isGone(error: unknown): boolean {
  // Ceph answers NoSuchKey where Amazon answers NoSuchUpload.
  return ['NoSuchUpload', 'NoSuchKey'].includes(s3CodeOf(error));
}

function unlessGone(error: unknown): void {
  if (!isGone(error)) throw error;
}

function isAboutAsking(error: StorageError): boolean {
  return error.message.startsWith('s3:ListMultipartUploadParts');
}

/**
 * The error of a put that failed, and of its clean-up that failed after it.
 * @returns the put's own error where that came from outside (a source, a signal), which is passed on as it was:
 * `unfinished` shows what is left. An error that is none of a store is a fault of ours, and is never kept quiet.
 */
export function withRest(error: unknown, rest: unknown): unknown {
  if (!(rest instanceof StorageError)) {
    return new AggregateError([error, rest], 'The put failed, and ending its upload then failed in an unforeseen way.');
  }
  if (!(error instanceof StorageError)) return error;
  return new StorageError(error.code, `${error.message} ${rest.message}`, `${error.cure} ${rest.cure}`, {
    cause: error,
  });
}

function stays(bucket: S3Bucket, key: string, cause: unknown): StorageError {
  return new StorageError(
    'StorageUnreachable',
    `The unfinished upload of s3://${bucket.name}/${bucket.prefix}${key} could not be ended.`,
    'It is listed among the unfinished and will be cleared later; it costs its space until then.',
    { cause },
  );
}
