import { CopyObjectCommand, UploadPartCopyCommand } from '@aws-sdk/client-s3';
import { StorageError } from './errors.ts';
import { mostParts } from './part-sizes.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { bare, commit, headAsMayBe, idMetadata, landed, onlyIfNew, refuseTaken } from './s3-commit.ts';
import { S3Multipart } from './s3-multipart.ts';
import type { CopyOptions, StoredObject } from './store.ts';
import { signalOr } from './take.ts';

/**
 * Largest object copied by one request. S3 takes 5 GiB, but is silent for as long as it copies, and a minute's silence
 * must mean a lost connection: larger ones go in parts of this size, which is faster too.
 */
const usualCopyBytes = 1024 ** 3;

/** Copies within the bucket, the bytes staying on the server. */
export async function copyObject(
  bucket: S3Bucket,
  from: string,
  to: string,
  options: CopyOptions & { largestCopyBytes?: number | undefined },
): Promise<StoredObject> {
  const { replace = false, copyId, largestCopyBytes = usualCopyBytes } = options;
  const signal = signalOr(options.signal);
  const source = await bucket.retry(signal, async () => await headAsMayBe(bucket, from, signal));
  if (source === undefined) throw missingSource(bucket, from);
  const sizeBytes = source.ContentLength ?? 0;
  const putId = copyId ?? crypto.randomUUID();
  const earlier = copyId === undefined ? undefined : await landed(bucket, { key: to, putId, sizeBytes }, signal);
  if (earlier !== undefined) return earlier;
  if (!replace) await refuseTaken(bucket, to, signal);
  const original: Original = { from: sourceOf(bucket, from), etag: source.ETag, sizeBytes };
  if (sizeBytes > largestCopyBytes) {
    return await copyInParts(bucket, original, to, { replace, signal, putId, largestCopyBytes });
  }
  signal.throwIfAborted();
  return await copyAtOnce(bucket, original, to, { replace, putId });
}

interface Original {
  /** As the header `x-amz-copy-source` wants it. */
  from: string;
  etag: string | undefined;
  sizeBytes: number;
}

async function copyAtOnce(
  bucket: S3Bucket,
  original: Original,
  to: string,
  { replace, putId }: { replace: boolean; putId: string },
): Promise<StoredObject> {
  const request = {
    ...bucket.at(to),
    ...bucket.making(replace),
    CopySource: original.from,
    CopySourceIfMatch: original.etag,
    MetadataDirective: 'REPLACE' as const,
    Metadata: idMetadata(putId),
  };
  // A copy's ETag need not be its source's (one made of parts becomes one of a whole), so the size has to do.
  const expected = { key: to, putId, sizeBytes: original.sizeBytes };
  return await commit(bucket, expected, replace, async () => {
    return await onlyIfNew(bucket, replace, async (condition) => {
      return await bucket.ask({ action: 's3:PutObject', key: to }, async () => {
        const answer = await bucket.client.send(new CopyObjectCommand({ ...request, ...condition }));
        return { ETag: bare(answer.CopyObjectResult?.ETag) };
      });
    });
  });
}

async function copyInParts(
  bucket: S3Bucket,
  original: Original,
  to: string,
  options: { replace: boolean; signal: AbortSignal; putId: string; largestCopyBytes: number },
): Promise<StoredObject> {
  const { sizeBytes, from, etag } = original;
  const partBytes = Math.max(options.largestCopyBytes, Math.ceil(sizeBytes / mostParts));
  const failing = new AbortController();
  const signal = AbortSignal.any([options.signal, failing.signal]);
  const upload = await S3Multipart.begin(bucket, to, options);
  const parts = Array.from({ length: Math.ceil(sizeBytes / partBytes) }, (_, at) => at + 1).values();
  const copyParts = async (): Promise<void> => {
    // The iterator is shared: each lane takes the next part that nobody took.
    for (const number of parts) {
      const first = (number - 1) * partBytes;
      const CopySourceRange = `bytes=${first}-${Math.min(sizeBytes, first + partBytes) - 1}`;
      const request = { ...upload.part(number), CopySource: from, CopySourceIfMatch: etag, CopySourceRange };
      const answer = await bucket.askUntilAnswered({ action: 's3:PutObject', key: to, signal }, async (on) => {
        return await bucket.client.send(new UploadPartCopyCommand(request), on);
      });
      upload.has(number, answer.CopyPartResult?.ETag);
    }
  };
  const lanes = Array.from({ length: 4 }, async () => {
    await copyParts().catch((error: unknown) => {
      failing.abort(error);
      throw error;
    });
  });
  try {
    await Promise.all(lanes);
    return await upload.complete(sizeBytes, undefined, signal);
  } catch (error) {
    await Promise.allSettled(lanes);
    return await upload.abandon(error);
  }
}

function sourceOf(bucket: S3Bucket, key: string): string {
  return [bucket.name, ...(bucket.prefix + key).split('/')].map(encodeURIComponent).join('/');
}

function missingSource(bucket: S3Bucket, key: string): StorageError {
  const what = `s3://${bucket.name}/${bucket.prefix}${key} is not there to be copied.`;
  return new StorageError('ObjectMissing', what, 'List the store to see what it holds.');
}
