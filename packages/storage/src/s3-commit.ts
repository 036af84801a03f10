import { createHash } from 'node:crypto';
import { GetObjectCommand, HeadObjectCommand, type HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import { StorageError } from './errors.ts';
import { isTransient, retrying } from './retry.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { s3CodeOf, statusOf } from './s3-errors.ts';
import type { StoredObject } from './store.ts';

/**
 * How an object of ours comes to stand under its final name: the same for a small one (PutObject), a large one
 * (CompleteMultipartUpload) and a copy.
 *
 * Each object carries a random id in its metadata. When an answer is lost, when a server's word is doubtful, or when
 * the key is suddenly taken, HeadObject tells by it whether the object there is the one that we made.
 */
const idHeader = 'strideiq-put';

/** What must be found under the key afterwards. */
export interface Expected {
  key: string;
  putId: string;
  sizeBytes: number;
  /** ETag without quotes, where this kind of object has one that can be foretold. */
  etag?: string | undefined;
}

export function idMetadata(putId: string): Record<string, string> {
  return { [idHeader]: putId };
}

/**
 * Does the request that makes the object appear, and confirms what the store then holds.
 *
 * A signal is not looked at from here on: a request cut off at this point may still take effect, and would leave an
 * object that its put says it did not make.
 * @param request must be harmless when sent twice
 */
export async function commit(
  bucket: S3Bucket,
  expected: Expected,
  replace: boolean,
  request: () => Promise<{ ETag?: string | undefined }>,
): Promise<StoredObject> {
  let answered: string | undefined;
  try {
    answered = bare((await retrying(request, bucket.policy)).ETag);
  } catch (error) {
    // The answer to an earlier try may be what was lost: then the object is there, and it is ours.
    const found = await headAsMayBe(bucket, expected.key).catch((silent: unknown) => {
      throw isTransient(error) ? unsure(bucket, expected.key, error, silent) : error;
    });
    if (!isOurs(found, expected)) throw error;
  }
  return await confirm(bucket, expected, replace, answered);
}

async function confirm(
  bucket: S3Bucket,
  expected: Expected,
  replace: boolean,
  answered: string | undefined,
): Promise<StoredObject> {
  const { key, sizeBytes, etag } = expected;
  const found = await retrying(async () => await headAsMayBe(bucket, key), bucket.policy).catch((error: unknown) => {
    // Without the right to read, an ETag made of every byte's MD5 is as good a proof as a size.
    const proven = etag !== undefined && answered === etag;
    if (proven && error instanceof StorageError && error.code === 'AccessDenied') return undefined;
    throw error;
  });
  if (found === undefined && etag !== undefined && answered === etag) return { key, sizeBytes, modifiedAt: new Date() };
  const ours = isOurs(found, expected);
  // Of two that replace one object, the later one is what stands there: that is no loss of ours.
  if (found !== undefined && !ours && replace) return { key, sizeBytes, modifiedAt: found.LastModified ?? new Date() };
  if (!ours && found !== undefined) throw takenError(bucket, key, 'someone else stored it at the same time');
  if (found === undefined) throw lost(bucket, key, `was given ${sizeBytes} bytes and is gone`);
  return checked(bucket, expected, found);
}

/**
 * The object that a request to make it has made after all, though each of its answers said otherwise or went lost:
 * undefined where there is none of ours.
 * @throws StorageError `ContentLost` where it is not whole
 */
export async function landed(
  bucket: S3Bucket,
  expected: Expected,
  signal?: AbortSignal,
): Promise<StoredObject | undefined> {
  const found = await bucket.retry(signal, async () => await headAsMayBe(bucket, expected.key, signal));
  return found !== undefined && isOurs(found, expected) ? checked(bucket, expected, found) : undefined;
}

function isOurs(found: HeadObjectCommandOutput | undefined, { putId }: Expected): boolean {
  return found?.Metadata?.[idHeader] === putId;
}

function checked(bucket: S3Bucket, expected: Expected, found: HeadObjectCommandOutput): StoredObject {
  const { key, sizeBytes, etag } = expected;
  if (found.ContentLength !== sizeBytes) {
    throw lost(bucket, key, `was given ${sizeBytes} bytes and holds ${found.ContentLength}`);
  }
  const held = bare(found.ETag);
  // Objects encrypted with KMS keys have ETags that are no MD5 (S3 API Reference, "Object").
  const comparable = found.ServerSideEncryption === undefined || found.ServerSideEncryption === 'AES256';
  if (comparable && etag !== undefined && held !== etag) {
    throw lost(bucket, key, `holds other bytes than it was given: its ETag is ${held}, not ${etag}`);
  }
  return { key, sizeBytes, modifiedAt: found.LastModified ?? new Date() };
}

/** A request to make an object that nobody can say the outcome of. */
export function unsure(bucket: S3Bucket, key: string, error: StorageError, silent: unknown): StorageError {
  // It says so already.
  if (error.cause instanceof StorageError) return error;
  const why = silent instanceof Error ? silent.message : String(silent);
  return new StorageError(
    error.code,
    `${error.message} Whether s3://${bucket.name}/${bucket.prefix}${key} was made all the same could not be asked: ${why}`,
    `${error.cure} Look whether that object is there before you take it for missing.`,
    { cause: error },
  );
}

function lost(bucket: S3Bucket, key: string, what: string): StorageError {
  return new StorageError(
    'ContentLost',
    `s3://${bucket.name}/${bucket.prefix}${key} ${what}.`,
    'Do not rely on that object; find out what else writes under this prefix, and take the backup again.',
  );
}

/**
 * HeadObject, or undefined where there is no object. A refused HEAD says nothing but a number, so it is asked again as
 * a GET of one byte, whose answer tells a missing bucket from a missing key, and wrong keys from a missing right.
 */
export async function headAsMayBe(
  bucket: S3Bucket,
  key: string,
  signal?: AbortSignal,
): Promise<HeadObjectCommandOutput | undefined> {
  const about = { action: 's3:GetObject', key, signal };
  const ask = async (): Promise<HeadObjectCommandOutput> => {
    return await bucket.ask(about, async (on) => await bucket.client.send(new HeadObjectCommand(bucket.at(key)), on));
  };
  try {
    return await ask();
  } catch (refused) {
    const status = statusOf(refused);
    if (status !== 404 && status !== 403 && status !== 400) throw refused;
    try {
      const command = new GetObjectCommand({ ...bucket.at(key), Range: 'bytes=0-0' });
      const answer = await bucket.ask(about, async (on) => await bucket.client.send(command, on));
      await answer.Body?.transformToByteArray();
    } catch (error) {
      if (error instanceof StorageError && error.code === 'ObjectMissing') return undefined;
      throw error;
    }
    // The object is there and may be read: what refused the HEAD may have passed, as a clock that was put right does.
    return await ask();
  }
}

/**
 * Refuses a key that is taken. Servers that know `If-None-Match` refuse it themselves, but late, after all bytes were
 * sent; and there are some that accept the header on one request and overlook it on another (Ceph 16: known to
 * PutObject, though not to the instant in a bucket with versions; overlooked by CompleteMultipartUpload and CopyObject).
 * @throws StorageError `ObjectExists`
 */
export async function refuseTaken(bucket: S3Bucket, key: string, signal?: AbortSignal): Promise<void> {
  const found = await retrying(async () => await headAsMayBe(bucket, key, signal), bucket.policy, signal).catch(
    (error: unknown) => {
      // An identity that may write but not read: the server's own If-None-Match has to do.
      if (error instanceof StorageError && error.code === 'AccessDenied') return undefined;
      throw error;
    },
  );
  if (found !== undefined) throw takenError(bucket, key, 'it is there already');
}

export function takenError(bucket: S3Bucket, key: string, why: string): StorageError {
  return new StorageError(
    'ObjectExists',
    `s3://${bucket.name}/${bucket.prefix}${key} cannot be stored: ${why}.`,
    'Backups are never overwritten: choose another name, or clear what unfinished uploads have left.',
  );
}

/**
 * Sends a request that may only make a new object with `If-None-Match: *`, unless this server is found not to know it:
 * then, and for the rest of the store's life, without.
 */
export async function onlyIfNew<T>(
  bucket: S3Bucket,
  replace: boolean,
  send: (condition: { IfNoneMatch?: '*' }) => Promise<T>,
): Promise<T> {
  if (replace || !bucket.knowsConditions) return await send({});
  try {
    return await send({ IfNoneMatch: '*' });
  } catch (error) {
    const status = statusOf(error);
    const refused = status === 501 || (status === 400 && /if-none-match|header/i.test(messageOf(error)));
    if (!refused && s3CodeOf(error) !== 'NotImplemented') throw error;
    bucket.knowsConditions = false;
    return await send({});
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error ? error.cause.message : '';
}

/** An ETag without its quotes; none where the server left it empty, as Ceph does on conditional completions. */
export function bare(etag: string | undefined): string | undefined {
  return etag?.replaceAll('"', '') || undefined;
}

export function md5Of(bytes: Uint8Array): Buffer {
  return createHash('md5').update(bytes).digest();
}

/** ETag of an object made of parts: MD5 of the parts' MD5s, and their number. */
export function etagOfParts(digests: readonly Buffer[]): string {
  return `${md5Of(Buffer.concat(digests)).toString('hex')}-${digests.length}`;
}
