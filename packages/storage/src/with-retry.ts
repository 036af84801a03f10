import { close, tellingEnd } from './closing.ts';
import { StorageError } from './errors.ts';
import { compareKeys } from './keys.ts';
import { Patience, retrying, usualRetries, type RetryPolicy } from './retry.ts';
import type { ByteRange, CopyOptions, PutOptions, Store, StoredObject, Unfinished } from './store.ts';
import { orAborted, signalOr } from './take.ts';

/**
 * The same store, with passing errors of calls that may be repeated tried again: head, list, delete, copy, get and what
 * is unfinished. A list goes on after the last key that was handed out, a get at the byte that it had reached.
 * A put is passed on as it is: its source can be read only once, and stores retry the parts of it themselves.
 * @param signal ends the waiting of every call, with its reason
 */
export function withRetry(store: Store, policy: RetryPolicy = usualRetries, signal?: AbortSignal): Store {
  return new RetryingStore(store, policy, signal);
}

class RetryingStore implements Store {
  readonly storeId: string;
  readonly location: string;
  readonly presign?: NonNullable<Store['presign']>;
  readonly presignPut?: NonNullable<Store['presignPut']>;
  readonly #store: Store;
  readonly #policy: RetryPolicy;
  readonly #signal: AbortSignal | undefined;

  constructor(store: Store, policy: RetryPolicy, signal: AbortSignal | undefined) {
    this.storeId = store.storeId;
    this.location = store.location;
    this.#store = store;
    this.#policy = policy;
    this.#signal = signal;
    // Asks the server nothing, so there is nothing to try again; and only where the store can, so that one sees whether.
    if (store.presign) this.presign = store.presign.bind(store);
    if (store.presignPut) this.presignPut = store.presignPut.bind(store);
  }

  async put(key: string, source: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<StoredObject> {
    return await this.#store.put(key, source, options);
  }

  async get(
    key: string,
    range?: ByteRange,
    options: { signal?: AbortSignal } = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const reading: Reading = { key, range, options, signal: this.#either(options.signal) };
    const { chunks, object } = await this.#retry(async () => await this.#open(reading, range), reading.signal);
    return tellingEnd(this.#goOn(chunks, object, reading), async () => {
      await close(chunks);
    });
  }

  async *#goOn(
    first: AsyncIterable<Uint8Array>,
    object: StoredObject | undefined,
    reading: Reading,
  ): AsyncGenerator<Uint8Array, undefined> {
    const { key, range, signal } = reading;
    const end = range?.length === undefined ? undefined : range.offset + range.length;
    const patience = new Patience(this.#policy, signal);
    let chunks: AsyncIterable<Uint8Array> | undefined = first;
    let offset = range?.offset ?? 0;
    for (;;) {
      try {
        if (chunks === undefined) {
          const left = end === undefined ? { offset } : { offset, length: end - offset };
          chunks = (await this.#open(reading, left, object)).chunks;
        }
        for await (const chunk of chunks) {
          offset += chunk.length;
          yield chunk;
          // Only now: how long the reader took is not the server's silence.
          patience.gotOn();
        }
        return;
      } catch (error) {
        if (!(await patience.waitAfter(error))) throw error;
        if (object === undefined) throw replaced(this.location + key);
        // It broke after its last byte: there is nothing left to ask for.
        if (offset >= Math.min(end ?? Number.POSITIVE_INFINITY, object.sizeBytes)) return;
        chunks = undefined;
      }
    }
  }

  /**
   * Opens a range, and tells what the object is: side by side, since that must be known before anything breaks, and
   * should cost no time.
   * @param before what the object was when its reading began
   * @throws StorageError `ContentLost` where it is another one now
   */
  async #open({ key, options, signal }: Reading, range?: ByteRange, before?: StoredObject): Promise<Opened> {
    const opening = this.#store.get(key, range, options);
    const both = Promise.allSettled([opening, this.#store.head(key)]);
    const [chunks, object] = await orAborted(both, signalOr(signal)).catch((error: unknown) => {
      void opening.then(close).catch(() => undefined);
      throw error;
    });
    const isOther = before !== undefined && object.status === 'fulfilled' && !isSame(before, object.value);
    if (chunks.status === 'fulfilled' && object.status === 'fulfilled' && !isOther) {
      return { chunks: chunks.value, object: object.value };
    }
    if (chunks.status === 'fulfilled') await close(chunks.value);
    if (isOther) throw replaced(this.location + key);
    throw chunks.status === 'rejected' ? chunks.reason : (object as PromiseRejectedResult).reason;
  }

  async *list(prefix?: string): AsyncGenerator<StoredObject> {
    const patience = new Patience(this.#policy, this.#signal);
    let last: string | undefined;
    for (;;) {
      try {
        for await (const object of this.#store.list(prefix)) {
          if (last !== undefined && compareKeys(object.key, last) <= 0) continue;
          last = object.key;
          yield object;
          // Only now: how long the reader took is not the server's silence.
          patience.gotOn();
        }
        return;
      } catch (error) {
        if (!(await patience.waitAfter(error))) throw error;
      }
    }
  }

  async head(key: string): Promise<StoredObject | undefined> {
    return await this.#retry(async () => await this.#store.head(key));
  }

  async copy(from: string, to: string, options: CopyOptions = {}): Promise<StoredObject> {
    const named = { copyId: crypto.randomUUID(), ...options };
    return await this.#retry(async () => await this.#store.copy(from, to, named), this.#either(options.signal));
  }

  async delete(key: string): Promise<void> {
    await this.#retry(async () => {
      await this.#store.delete(key);
    });
  }

  async *unfinished(prefix?: string): AsyncGenerator<Unfinished> {
    // Few, and without an order to go on from: asked for as a whole.
    const found = await this.#retry(async () => {
      const all: Unfinished[] = [];
      for await (const each of this.#store.unfinished(prefix)) all.push(each);
      return all;
    });
    for (const each of found) {
      yield { ...each, discard: async () => await this.#retry(async () => await each.discard()) };
    }
  }

  async freeBytes(): Promise<number | undefined> {
    return await this.#retry(async () => await this.#store.freeBytes());
  }

  close(): void {
    this.#store.close();
  }

  async #retry<T>(step: () => Promise<T>, signal = this.#signal): Promise<T> {
    return await retrying(step, this.#policy, signal);
  }

  #either(signal: AbortSignal | undefined): AbortSignal | undefined {
    if (signal === undefined || this.#signal === undefined) return signal ?? this.#signal;
    return AbortSignal.any([signal, this.#signal]);
  }
}

interface Reading {
  key: string;
  range: ByteRange | undefined;
  options: { signal?: AbortSignal };
  /** Of these options, or of the store. */
  signal: AbortSignal | undefined;
}

interface Opened {
  chunks: AsyncIterable<Uint8Array>;
  object: StoredObject | undefined;
}

function isSame(a: StoredObject | undefined, b: StoredObject | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.sizeBytes === b.sizeBytes && a.modifiedAt.getTime() === b.modifiedAt.getTime();
}

function replaced(what: string): StorageError {
  return new StorageError(
    'ContentLost',
    `${what} was replaced or removed while it was read.`,
    'Read it again from its beginning; read backups by their own name, not by LATEST.',
  );
}
