import {
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3';
import { storeIdOf } from '@strideiq/core';
import { StorageError } from './errors.ts';
import { checkKey } from './keys.ts';
import type { S3StoreOptions } from './open-s3-store.ts';
import { checkRange } from './ranges.ts';
import { abortUpload } from './s3-abort.ts';
import { S3Bucket } from './s3-bucket.ts';
import { headAsMayBe } from './s3-commit.ts';
import { copyObject } from './s3-copy.ts';
import { getObject } from './s3-get.ts';
import { s3LocationOf } from './s3-location.ts';
import { ensureLocked } from './s3-lock.ts';
import { presignObject, presignUpload } from './s3-presign.ts';
import { uploadStream } from './s3-upload.ts';
import type { ByteRange, CopyOptions, PutOptions, PutUrl, Store, StoredObject, Unfinished } from './store.ts';

/** Objects below one prefix of an S3 bucket. */
export class S3Store implements Store {
  readonly storeId: string;
  readonly location: string;
  readonly #bucket: S3Bucket;
  readonly #options: S3StoreOptions;

  /** @internal Made by `openS3Store`. */
  constructor(options: S3StoreOptions) {
    this.#options = options;
    this.#bucket = new S3Bucket(options);
    const { name, prefix } = this.#bucket;
    this.location = `s3://${name}/${prefix}`;
    this.storeId = storeIdOf(s3LocationOf(options));
  }

  async put(key: string, source: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<StoredObject> {
    checkKey(key);
    const { partBytes, partsInFlight } = this.#options;
    const limits = { ...(partBytes ? { partBytes } : {}), ...(partsInFlight ? { partsInFlight } : {}) };
    const stored = await uploadStream(this.#bucket, key, source, { ...options, ...limits });
    await ensureLocked(this.#bucket, key, options.replace ?? false);
    return stored;
  }

  async get(
    key: string,
    range?: ByteRange,
    options: { signal?: AbortSignal } = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    checkKey(key);
    checkRange(range, this.location + key);
    return await getObject(this.#bucket, key, range, options.signal);
  }

  async *list(prefix = ''): AsyncGenerator<StoredObject> {
    const { name, prefix: ours, client } = this.#bucket;
    const about = { action: 's3:ListBucket' };
    for (let ContinuationToken: string | undefined; ;) {
      const request = { Bucket: name, Prefix: ours + prefix, EncodingType: 'url' as const };
      const page = await this.#bucket.ask(about, async () => {
        return await client.send(
          new ListObjectsV2Command({ ...request, ...(ContinuationToken === undefined ? {} : { ContinuationToken }) }),
        );
      });
      for (const { Key, Size = 0, LastModified = new Date(0) } of page.Contents ?? []) {
        const key = (page.EncodingType === 'url' ? decoded(Key) : (Key ?? '')).slice(ours.length);
        // A name that ends with a slash is a folder that some console made; no key of ours can be one.
        if (key !== '' && !key.endsWith('/')) yield { key, sizeBytes: Size, modifiedAt: LastModified };
      }
      if (page.NextContinuationToken === undefined) return;
      ContinuationToken = page.NextContinuationToken;
    }
  }

  async head(key: string): Promise<StoredObject | undefined> {
    checkKey(key);
    const found = await headAsMayBe(this.#bucket, key);
    if (found === undefined) return undefined;
    return { key, sizeBytes: found.ContentLength ?? 0, modifiedAt: found.LastModified ?? new Date(0) };
  }

  async copy(from: string, to: string, options: CopyOptions = {}): Promise<StoredObject> {
    checkKey(from);
    checkKey(to);
    const { largestCopyBytes } = this.#options;
    const stored = await copyObject(this.#bucket, from, to, { ...options, largestCopyBytes });
    await ensureLocked(this.#bucket, to, options.replace ?? false);
    return stored;
  }

  /**
   * In a bucket with versioning this hides the object, as S3 means it; a lifecycle rule for old versions frees the
   * space. Asked for first is the lock: S3 would gladly hide an object that it must keep.
   */
  async delete(key: string): Promise<void> {
    checkKey(key);
    const found = await headAsMayBe(this.#bucket, key).catch((error: unknown) => {
      // Who may delete need not be able to read: the server's own answer decides then.
      if (error instanceof StorageError && error.code === 'AccessDenied') return undefined;
      throw error;
    });
    if (found !== undefined) this.#refuseLocked(key, found);
    await this.#bucket.ask({ action: 's3:DeleteObject', key }, async () => {
      return await this.#bucket.client.send(new DeleteObjectCommand(this.#bucket.at(key)));
    });
  }

  #refuseLocked(key: string, found: HeadObjectCommandOutput): void {
    const { ObjectLockRetainUntilDate: until, ObjectLockLegalHoldStatus: hold } = found;
    const held = hold === 'ON';
    if (!held && until === undefined) return;
    if (!held && until !== undefined && until.getTime() <= Date.now()) return;
    const why = held ? 'it is under a legal hold' : `Object Lock keeps it until ${until?.toISOString()}`;
    throw new StorageError(
      'ObjectLocked',
      `${this.location}${key} was not deleted: ${why}.`,
      held ? 'Whoever placed the hold has to lift it (s3:PutObjectLegalHold).' : 'Delete it after that date.',
    );
  }

  async *unfinished(prefix = ''): AsyncGenerator<Unfinished> {
    const bucket = this.#bucket;
    // Not asked for percent-encoded, since Ceph then encodes keys and says neither so nor does it to the markers.
    const request = { Bucket: bucket.name, Prefix: bucket.prefix + prefix };
    for (let from: { KeyMarker?: string; UploadIdMarker?: string } = {}; ;) {
      const page = await bucket.ask({ action: 's3:ListBucketMultipartUploads' }, async () => {
        return await bucket.client.send(new ListMultipartUploadsCommand({ ...request, ...from }));
      });
      for (const { Key, UploadId = '', Initiated = new Date(0) } of page.Uploads ?? []) {
        const key = (Key ?? '').slice(bucket.prefix.length);
        yield { key, startedAt: Initiated, discard: async () => await abortUpload(bucket, key, UploadId) };
      }
      if (page.IsTruncated !== true) return;
      from = { KeyMarker: page.NextKeyMarker ?? '', UploadIdMarker: page.NextUploadIdMarker ?? '' };
    }
  }

  async presign(key: string, { expiresInSeconds }: { expiresInSeconds: number }): Promise<string> {
    checkKey(key);
    return await presignObject(this.#bucket, key, expiresInSeconds);
  }

  async presignPut(key: string, options: { expiresInSeconds: number; sizeBytes: number }): Promise<PutUrl> {
    checkKey(key);
    return await presignUpload(this.#bucket, key, options);
  }

  /** S3 does not say. */
  async freeBytes(): Promise<undefined> {
    return undefined;
  }

  close(): void {
    this.#bucket.close();
  }
}

/** Keys come percent-encoded, as asked: XML cannot hold every character that a key can. */
function decoded(key = ''): string {
  return decodeURIComponent(key.replaceAll('+', '%20'));
}
