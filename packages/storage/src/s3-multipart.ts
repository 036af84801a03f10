import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type MultipartUpload,
} from '@aws-sdk/client-s3';
import { StorageError } from './errors.ts';
import { isTransient, retrying } from './retry.ts';
import { abortUpload, withRest } from './s3-abort.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { commit, idMetadata, landed, onlyIfNew, refuseTaken, takenError, unsure, type Expected } from './s3-commit.ts';
import type { StoredObject } from './store.ts';

/** One multipart upload from its beginning to its completion or its end; who sends the parts is not its affair. */
export class S3Multipart {
  readonly #bucket: S3Bucket;
  readonly #key: string;
  readonly #replace: boolean;
  readonly #putId: string;
  readonly #etags: (string | undefined)[] = [];
  #uploadId = '';
  /** Once its completion was asked for. */
  #expected: Expected | undefined;

  private constructor(bucket: S3Bucket, key: string, replace: boolean, putId: string) {
    this.#putId = putId;
    this.#bucket = bucket;
    this.#key = key;
    this.#replace = replace;
  }

  /** @throws the signal's reason, before anything was begun */
  static async begin(
    bucket: S3Bucket,
    key: string,
    options: { replace: boolean; signal: AbortSignal; putId: string },
  ): Promise<S3Multipart> {
    const { replace, signal, putId } = options;
    const before = await uploadsOf(bucket, key, signal);
    const upload = new S3Multipart(bucket, key, replace, putId);
    let answersLost = false;
    const request = { ...bucket.at(key), ...bucket.making(replace), Metadata: idMetadata(putId) };
    try {
      // Without the signal: an upload whose id went lost with a cut connection could not be ended.
      const created = await retrying(async (failures) => {
        answersLost = failures > 0;
        return await bucket.ask({ action: 's3:PutObject', key }, async () => {
          return await bucket.client.send(new CreateMultipartUploadCommand(request));
        });
      }, bucket.policy);
      upload.#uploadId = created.UploadId ?? '';
      return upload;
    } finally {
      if (answersLost) await upload.#abortNamesakes(before);
    }
  }

  /** `Bucket`, `Key`, `UploadId` and `PartNumber` of the request that sends a part. */
  part(number: number): { Bucket: string; Key: string; UploadId: string; PartNumber: number } {
    return { ...this.#bucket.at(this.#key), UploadId: this.#uploadId, PartNumber: number };
  }

  /** Notes that the store has part `number`, from 1. */
  has(number: number, etag: string | undefined): void {
    this.#etags[number - 1] = etag;
  }

  /**
   * Makes the object of all parts noted.
   * @param etag what the whole must have then, where that can be foretold
   * @throws StorageError `ObjectExists` where it may not be replaced
   */
  async complete(sizeBytes: number, etag: string | undefined, signal: AbortSignal): Promise<StoredObject> {
    signal.throwIfAborted();
    const [bucket, key, replace] = [this.#bucket, this.#key, this.#replace];
    const expected = { key, putId: this.#putId, sizeBytes, etag };
    this.#expected = expected;
    if (!replace) await this.#refuseOutrun(signal);
    const Parts = this.#etags.map((ETag, at) => ({ PartNumber: at + 1, ETag }));
    const request = { ...bucket.at(key), UploadId: this.#uploadId, MultipartUpload: { Parts } };
    return await commit(bucket, expected, replace, async () => {
      return await onlyIfNew(bucket, replace, async (condition) => {
        return await bucket.ask({ action: 's3:PutObject', key }, async () => {
          return await bucket.client.send(new CompleteMultipartUploadCommand({ ...request, ...condition }));
        });
      });
    });
  }

  /**
   * Ends the upload after a failure. No request of its parts may be on its way any more.
   * @returns the object, where a completion whose answers went lost has made it after all: the upload is gone then too
   * @throws `failure`, or one that also says what could not be ended or found out
   */
  async abandon(failure: unknown): Promise<StoredObject> {
    const rest: unknown = await abortUpload(this.#bucket, this.#key, this.#uploadId).catch((stays: unknown) => stays);
    const failed = rest === undefined ? failure : withRest(failure, rest);
    // Before its completion was asked for nothing can stand there; a server that is silent will not tell.
    if (this.#expected === undefined || isTransient(rest)) throw failed;
    const stored = await landed(this.#bucket, this.#expected).catch((silent: unknown) => {
      throw isTransient(silent) && isTransient(failed) ? unsure(this.#bucket, this.#key, failed, silent) : failed;
    });
    if (stored === undefined) throw failed;
    return stored;
  }

  /**
   * Refuses where the key was taken meanwhile, or where another upload of the same key began earlier. With each looking
   * for earlier ones first and for the object second, no two can both go on, also on servers that overlook
   * `If-None-Match`.
   */
  async #refuseOutrun(signal: AbortSignal): Promise<void> {
    const uploads = await uploadsOf(this.#bucket, this.#key, signal);
    const own = uploads.find(({ UploadId }) => UploadId === this.#uploadId);
    const earlier = uploads.find((upload) => own !== undefined && orderOf(upload) < orderOf(own));
    if (earlier) {
      const since = earlier.Initiated?.toISOString();
      throw takenError(this.#bucket, this.#key, `another upload of it began at ${since} and has not ended`);
    }
    await refuseTaken(this.#bucket, this.#key, signal);
  }

  /** A request to begin whose answer went lost may have begun an upload that nobody knows: it is one not there before. */
  async #abortNamesakes(before: MultipartUpload[]): Promise<void> {
    const known = new Set([this.#uploadId, ...before.map(({ UploadId }) => UploadId)]);
    // Best effort: what is left is listed among the unfinished.
    const now = await uploadsOf(this.#bucket, this.#key).catch(() => []);
    for (const { UploadId = '' } of now) {
      if (!known.has(UploadId)) await abortUpload(this.#bucket, this.#key, UploadId).catch(() => undefined);
    }
  }
}

/** Uploads of exactly this key that are under way; none where the credentials may not ask. */
async function uploadsOf(bucket: S3Bucket, key: string, signal?: AbortSignal): Promise<MultipartUpload[]> {
  const Prefix = bucket.prefix + key;
  const about = { action: 's3:ListBucketMultipartUploads', signal };
  try {
    const answer = await bucket.askUntilAnswered(about, async (on) => {
      return await bucket.client.send(new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix }), on);
    });
    return (answer.Uploads ?? []).filter((upload) => upload.Key === Prefix);
  } catch (error) {
    if (error instanceof StorageError && error.code === 'AccessDenied') return [];
    throw error;
  }
}

function orderOf(upload: MultipartUpload): string {
  return `${upload.Initiated?.toISOString()} ${upload.UploadId}`;
}
