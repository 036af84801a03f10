import { StorageError } from './errors.ts';
import { compareKeys } from './keys.ts';
import { isTransient, retrying, usualRetries, waitAfter, type RetryPolicy } from './retry.ts';
import type { ByteRange, PutOptions, Store, StoredObject, Unfinished } from './store.ts';

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
  readonly #store: Store;
  readonly #policy: RetryPolicy;
  readonly #signal: AbortSignal | undefined;

  constructor(store: Store, policy: RetryPolicy, signal: AbortSignal | undefined) {
    this.storeId = store.storeId;
    this.location = store.location;
    this.#store = store;
    this.#policy = policy;
    this.#signal = signal;
  }

  async put(key: string, source: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<StoredObject> {
    return await this.#store.put(key, source, options);
  }

  async get(
    key: string,
    range?: ByteRange,
    options: { signal?: AbortSignal } = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const signal = this.#either(options.signal);
    const open = async (from: ByteRange | undefined): Promise<AsyncIterable<Uint8Array>> =>
      await this.#retry(async () => await this.#store.get(key, from, options), signal);
    // Side by side: what the object is must be known before anything breaks, and should cost no time.
    const [chunks, object] = await Promise.all([open(range), this.#describe(key, signal)]);
    return this.#goOn(chunks, { key, range, object, signal, open });
  }

  async *#goOn(chunks: AsyncIterable<Uint8Array>, reading: Reading): AsyncGenerator<Uint8Array> {
    const { key, range, object, signal, open } = reading;
    let current = chunks;
    let receivedBytes = 0;
    let reachedBytes = 0;
    let failures = 0;
    for (;;) {
      try {
        for await (const chunk of current) {
          receivedBytes += chunk.length;
          yield chunk;
        }
        return;
      } catch (error) {
        // A server that breaks off each answer at its first byte would otherwise be asked for ever.
        failures = receivedBytes > reachedBytes ? 0 : failures + 1;
        reachedBytes = receivedBytes;
        await this.#waitAfter(error, failures, signal);
        const now = await this.#describe(key, signal);
        if (!isSame(object, now)) throw replaced(this.location + key);
        const offset = (range?.offset ?? 0) + receivedBytes;
        const end = range?.length === undefined ? undefined : range.offset + range.length;
        // It broke after its last byte: there is nothing left to ask for.
        if (offset >= Math.min(end ?? Number.POSITIVE_INFINITY, now?.sizeBytes ?? 0)) return;
        current = await open(end === undefined ? { offset } : { offset, length: end - offset });
      }
    }
  }

  async #describe(key: string, signal: AbortSignal | undefined): Promise<StoredObject | undefined> {
    return await this.#retry(async () => await this.#store.head(key), signal);
  }

  async *list(prefix?: string): AsyncGenerator<StoredObject> {
    let last: string | undefined;
    let failures = 0;
    for (;;) {
      try {
        for await (const object of this.#store.list(prefix)) {
          if (last !== undefined && compareKeys(object.key, last) <= 0) continue;
          last = object.key;
          failures = 0;
          yield object;
        }
        return;
      } catch (error) {
        await this.#waitAfter(error, failures++);
      }
    }
  }

  async head(key: string): Promise<StoredObject | undefined> {
    return await this.#retry(async () => await this.#store.head(key));
  }

  async copy(
    from: string,
    to: string,
    options: { replace?: boolean; signal?: AbortSignal } = {},
  ): Promise<StoredObject> {
    return await this.#retry(async () => await this.#store.copy(from, to, options), this.#either(options.signal));
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

  /** @throws the error, where it is not to be retried */
  async #waitAfter(error: unknown, failures: number, signal = this.#signal): Promise<void> {
    if (!isTransient(error) || failures >= this.#policy.retries) throw error;
    await waitAfter(failures, this.#policy, signal);
  }

  #either(signal: AbortSignal | undefined): AbortSignal | undefined {
    if (signal === undefined || this.#signal === undefined) return signal ?? this.#signal;
    return AbortSignal.any([signal, this.#signal]);
  }
}

interface Reading {
  key: string;
  range: ByteRange | undefined;
  object: StoredObject | undefined;
  signal: AbortSignal | undefined;
  open: (range: ByteRange | undefined) => Promise<AsyncIterable<Uint8Array>>;
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
