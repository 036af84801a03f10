import { PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { StorageError } from './errors.ts';
import { PartBuffers } from './part-buffers.ts';
import { PartFiller } from './part-filler.ts';
import { firstPartBytes, mostParts, partBytesAt } from './part-sizes.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { bare, commit, etagOfParts, idMetadata, md5Of, onlyIfNew, refuseTaken } from './s3-commit.ts';
import { S3Multipart } from './s3-multipart.ts';
import type { PutOptions, StoredObject } from './store.ts';
import { orAborted, signalOr, takeFrom } from './take.ts';

export interface UploadLimits {
  partBytes?: number;
  partsInFlight?: number;
}

/**
 * Stores a stream under a key, whole or not at all: one PutObject where it fits into one part, else a multipart upload
 * of our own. (lib-storage's goes on writing after an abort where there is only one part, so that a failed dump can
 * land as if it were whole, and it holds more memory.)
 */
export async function uploadStream(
  bucket: S3Bucket,
  key: string,
  source: AsyncIterable<Uint8Array>,
  options: PutOptions & UploadLimits,
): Promise<StoredObject> {
  const signal = signalOr(options.signal);
  const replace = options.replace ?? false;
  signal.throwIfAborted();
  if (!replace) await refuseTaken(bucket, key, signal);

  // One signal for all that belongs to this put: the caller's, and the first part that fails for good.
  const failing = new AbortController();
  const either = AbortSignal.any([signal, failing.signal]);
  const leastBytes = partBytesAt(1, options.partBytes);
  const partBytes = firstPartBytes(options.expectedBytes, leastBytes);
  // The memory of parts as small as can be: larger ones have to do with it, or go one at a time.
  const buffers = new PartBuffers(leastBytes * ((options.partsInFlight ?? 3) + 1));
  const chunks = takeFrom(source, either);
  const filler = new PartFiller(chunks);
  try {
    const first = await buffers.take(partBytes);
    const filled = await filler.fill(first);
    signal.throwIfAborted();
    if (filled < partBytes) {
      const stored = await putWhole(bucket, key, first.subarray(0, filled), replace);
      options.onStored?.(filled);
      return stored;
    }
    const upload = await S3Multipart.begin(bucket, key, { replace, signal, putId: crypto.randomUUID() });
    const { onStored } = options;
    const sender = new PartSender(upload, { bucket, key, failing, signal: either, partBytes, buffers, onStored });
    return await sender.run(first, filler);
  } finally {
    await chunks.return(undefined);
  }
}

async function putWhole(bucket: S3Bucket, key: string, body: Buffer, replace: boolean): Promise<StoredObject> {
  const putId = crypto.randomUUID();
  const digest = md5Of(body);
  const request = {
    ...bucket.at(key),
    ...bucket.making(replace),
    Body: body,
    ContentMD5: digest.toString('base64'),
    Metadata: idMetadata(putId),
  };
  const expected = { key, putId, sizeBytes: body.length, etag: digest.toString('hex') };
  return await commit(bucket, expected, replace, async () => {
    return await onlyIfNew(bucket, replace, async (condition) => {
      return await bucket.ask({ action: 's3:PutObject', key }, async () => {
        return await bucket.client.send(new PutObjectCommand({ ...request, ...condition }));
      });
    });
  });
}

interface Sending {
  bucket: S3Bucket;
  key: string;
  /** Aborted by us once a part fails for good. */
  failing: AbortController;
  /** Of the caller or of {@link failing}. */
  signal: AbortSignal;
  partBytes: number;
  buffers: PartBuffers;
  onStored: ((bytes: number) => void) | undefined;
}

/** Sends a stream part by part, several at a time. */
class PartSender {
  readonly #with: Sending;
  readonly #upload: S3Multipart;
  readonly #digests: Buffer[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #etagsAreDigests = true;
  #storedBytes = 0;

  constructor(upload: S3Multipart, sending: Sending) {
    this.#upload = upload;
    this.#with = sending;
  }

  /** Sends the first part, which is full, and all that follows; on any failure ends the upload with all its requests. */
  async run(first: Buffer, filler: PartFiller): Promise<StoredObject> {
    const { signal, failing } = this.#with;
    try {
      this.#send(1, first, first.length);
      await this.#sendRest(filler);
      await Promise.all(this.#underWay);
      // A part that failed after the last one was begun.
      signal.throwIfAborted();
      // Only where each part's ETag was its MD5 will the whole have the MD5 of those.
      const etag = this.#etagsAreDigests ? etagOfParts(this.#digests) : undefined;
      return await this.#upload.complete(this.#storedBytes, etag, signal);
    } catch (error) {
      failing.abort(error);
      // A part that lands after the abort would live on: none may be on its way any more.
      await Promise.all(this.#underWay);
      return await this.#upload.abandon(error);
    }
  }

  async #sendRest(filler: PartFiller): Promise<void> {
    const { buffers, partBytes, signal } = this.#with;
    for (let number = 2; ; number++) {
      const buffer = await orAborted(buffers.take(partBytesAt(number, partBytes)), signal);
      const filled = await filler.fill(buffer);
      if (filled === 0) return;
      if (number > mostParts) throw this.#tooLarge();
      this.#send(number, buffer, filled);
      if (filled < buffer.length) return;
    }
  }

  /** Starts sending; a failure shows as the abort of the put's own signal. */
  #send(number: number, buffer: Buffer, filled: number): void {
    const { buffers, failing, onStored } = this.#with;
    const sending = this.#sendPart(number, buffer.subarray(0, filled))
      .then(() => {
        buffers.giveBack(buffer);
        this.#storedBytes += filled;
        onStored?.(this.#storedBytes);
      })
      .catch((error: unknown) => {
        failing.abort(error);
      })
      .finally(() => this.#underWay.delete(sending));
    this.#underWay.add(sending);
  }

  async #sendPart(number: number, body: Buffer): Promise<void> {
    const { bucket, key, signal } = this.#with;
    const digest = md5Of(body);
    const request = { ...this.#upload.part(number), Body: body, ContentMD5: digest.toString('base64') };
    const answer = await bucket.askUntilAnswered({ action: 's3:PutObject', key, signal }, async (on) => {
      return await bucket.client.send(new UploadPartCommand(request), on);
    });
    this.#upload.has(number, answer.ETag);
    this.#digests[number - 1] = digest;
    if (bare(answer.ETag) !== digest.toString('hex')) this.#etagsAreDigests = false;
  }

  #tooLarge(): StorageError {
    const { bucket, key } = this.#with;
    return new StorageError(
      'StorageUnusable',
      `s3://${bucket.name}/${bucket.prefix}${key} is longer than ${mostParts} parts hold, which is where S3 ends.`,
      'Leave the rows of the largest tables out of this backup, or keep it in a directory store.',
    );
  }
}
