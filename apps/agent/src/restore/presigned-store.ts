import { codeOf, paragraphOf } from '@strideiq/core';
import type { SourceUrls } from '@strideiq/protocol';
import {
  StorageError,
  tellingEnd,
  type ByteRange,
  type Store,
  type StoredObject,
  type Unfinished,
} from '@strideiq/storage';
import { HttpConnections, type HttpAnswer } from '../stores/http-get.ts';
import { checkPart, notGoodAnyMore, rangeHeader, refusalOf, sizeOf, unusable } from './presigned-answers.ts';

/** What the URLs lead to. */
export interface PresignedKeys {
  dump: string;
  manifest: string;
  privileges: string;
}

export interface PresignedSource {
  /** The command that the URLs are given for; the place exists for it alone, so it is the store's id too. */
  commandId: string;
  keys: PresignedKeys;
  /** Asks for URLs, anew each time. */
  askUrls: (signal?: AbortSignal) => Promise<SourceUrls>;
  /** The control plane's clock, by which URLs expire. */
  serverNow: () => number;
  /** Gets the URLs for as long as the store is open: whoever has them may read. */
  secrets: Set<string>;
  silenceMs: number;
}

/** Others are asked for this long before they are needed. */
const earlyMs = 30_000;

/** What is read into memory at most; an index of several hundred thousand chunks is a tenth of it. */
const mostBytes = { manifest: 512 * 1024 * 1024, privileges: 64 * 1024 * 1024 } as const;

/** What makes a presigned URL good; the rest of it names bucket and key, which are no secret and stand in every error. */
const secretParameters = /^(x-amz-(signature|credential|security-token)|signature)$/i;

/**
 * One backup's objects in a bucket that this host has no credentials for, read by URLs that are good for a while and are
 * asked for anew once they are not. Passing errors are `withRetry`'s.
 */
export class PresignedStore implements Store {
  readonly storeId: string;
  readonly location = 'presigned://';
  readonly #source: PresignedSource;
  readonly #connections: HttpConnections;
  readonly #secrets = new Set<string>();
  #urls: Promise<SourceUrls> | undefined;
  #expiresAt = 0;

  constructor(source: PresignedSource) {
    this.storeId = source.commandId;
    this.#source = source;
    this.#connections = new HttpConnections(source.silenceMs);
  }

  async get(
    key: string,
    range?: ByteRange,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const headers = range ? { range: rangeHeader(range) } : {};
    const answer = await this.#ask(key, headers, signal);
    try {
      if (range) checkPart(answer, range, this.#named(key));
      this.#checkSize(key, answer);
    } catch (error) {
      answer.body.destroy();
      throw error;
    }
    const chunks = this.#bounded(key, this.#connections.bodyOf(answer, this.#named(key), signal));
    return tellingEnd(chunks, () => void answer.body.destroy());
  }

  /** By the first byte: what is presigned is a GET, and a HEAD would not be let pass. */
  async head(key: string): Promise<StoredObject | undefined> {
    let answer: HttpAnswer;
    try {
      answer = await this.#ask(key, { range: 'bytes=0-0' });
    } catch (error) {
      if (error instanceof StorageError && error.code === 'ObjectMissing') return undefined;
      throw error;
    }
    answer.body.destroy();
    const sizeBytes = sizeOf(answer);
    if (sizeBytes === undefined) throw unusable(`${this.#named(key)} was given without its size`);
    return { key, sizeBytes, modifiedAt: new Date(answer.headers['last-modified'] ?? 0) };
  }

  /** An answer about the object: the whole, a part of it, or 416 where there is no such part. */
  async #ask(key: string, headers: Record<string, string>, signal?: AbortSignal): Promise<HttpAnswer> {
    const what = this.#named(key);
    let refused: SourceUrls | undefined;
    for (;;) {
      const urls = await this.#goodUrls(refused, signal);
      const answer = await this.#connections.get(this.#urlOf(key, urls), { what, headers, signal });
      const { status } = answer;
      if (status === 200 || status === 206 || status === 416) return answer;
      answer.body.destroy();
      if (!notGoodAnyMore.has(status) || refused) throw refusalOf(what, status);
      refused = urls;
    }
  }

  #urlOf(key: string, urls: SourceUrls): string {
    const { keys } = this.#source;
    const url = { [keys.dump]: urls.dump, [keys.manifest]: urls.manifest, [keys.privileges]: urls.privileges }[key];
    if (url) return url;
    throw new StorageError('ObjectMissing', `${this.#named(key)} is not there.`, 'The backup has no such object.');
  }

  /**
   * Asked for once, however many wait for them.
   * @param refused those that were not let pass: others are asked for, if nobody has meanwhile
   */
  async #goodUrls(refused: SourceUrls | undefined, signal?: AbortSignal): Promise<SourceUrls> {
    const expired = this.#source.serverNow() >= this.#expiresAt - earlyMs;
    if (this.#urls === undefined || expired || (refused && (await this.#urls) === refused)) {
      this.#expiresAt = Number.POSITIVE_INFINITY;
      this.#urls = this.#newUrls(signal);
    }
    const urls = this.#urls;
    try {
      return await urls;
    } catch (error) {
      if (this.#urls === urls) this.#urls = undefined;
      throw error;
    }
  }

  async #newUrls(signal?: AbortSignal): Promise<SourceUrls> {
    let urls: SourceUrls;
    try {
      urls = await this.#source.askUrls(signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw passing.has(codeOf(error)) ? unreachableUrls(error) : error;
    }
    for (const url of [urls.dump, urls.manifest, urls.privileges]) {
      if (url !== null) this.#keepSecret(url);
    }
    this.#expiresAt = Date.parse(urls.expiresAt);
    return urls;
  }

  #keepSecret(url: string): void {
    const parts = [...new URL(url).searchParams].filter(([name]) => secretParameters.test(name));
    for (const secret of [url, ...parts.flatMap(([, value]) => [value, encodeURIComponent(value)])]) {
      this.#secrets.add(secret);
      this.#source.secrets.add(secret);
    }
  }

  #mostBytesOf(key: string): number {
    const { keys } = this.#source;
    if (key === keys.manifest) return mostBytes.manifest;
    return key === keys.privileges ? mostBytes.privileges : Number.POSITIVE_INFINITY;
  }

  #checkSize(key: string, { headers }: HttpAnswer): void {
    if (Number(headers['content-length'] ?? 0) > this.#mostBytesOf(key)) throw this.#tooLarge(key);
  }

  async *#bounded(key: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > this.#mostBytesOf(key)) throw this.#tooLarge(key);
      yield chunk;
    }
  }

  #tooLarge(key: string): StorageError {
    return unusable(
      `${this.#named(key)} is larger than ${this.#mostBytesOf(key)} bytes, which no such file of ours is`,
    );
  }

  #named(key: string): string {
    return this.location + key;
  }

  async put(): Promise<StoredObject> {
    throw readOnly();
  }

  async copy(): Promise<StoredObject> {
    throw readOnly();
  }

  async delete(): Promise<void> {
    throw readOnly();
  }

  // oxlint-disable-next-line require-yield -- URLs lead to objects, and to no list of them
  async *list(): AsyncGenerator<StoredObject> {
    throw readOnly();
  }

  async *unfinished(): AsyncGenerator<Unfinished> {
    // Nobody puts anything by these URLs.
  }

  async freeBytes(): Promise<undefined> {
    return undefined;
  }

  close(): void {
    this.#connections.close();
    for (const secret of this.#secrets) this.#source.secrets.delete(secret);
  }
}

/** Of asking for URLs: what may be otherwise in a moment. */
const passing = new Set(['ControlPlaneUnreachable', 'PresignFailed', 'RateLimited', 'Unexpected']);

function unreachableUrls(cause: unknown): StorageError {
  const what = `The control plane gave no URLs to read the backup by: ${paragraphOf(cause)}`;
  return new StorageError('StorageUnreachable', what, '', { cause });
}

function readOnly(): StorageError {
  return new StorageError(
    'StorageUnusable',
    'By URLs a backup can only be read.',
    'This is a fault of the program; please report it.',
  );
}
