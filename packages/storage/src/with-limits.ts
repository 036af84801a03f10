import { tellingEnd } from './closing.ts';
import type { ByteRange, CopyOptions, PutOptions, Store, StoredObject, Unfinished } from './store.ts';
import { orAborted, pause, signalOr } from './take.ts';

export interface StoreLimits {
  /** Most puts, gets and copies at a time; further ones wait their turn. A get lasts until its stream has ended or was closed. */
  transfers?: number;
  /** For all puts of the store together. */
  uploadBytesPerSecond?: number;
}

/** The same store, taking no more than it should of the line and the server. */
export function withLimits(store: Store, limits: StoreLimits): Store {
  return new LimitedStore(store, limits);
}

class LimitedStore implements Store {
  readonly storeId: string;
  readonly location: string;
  readonly presign?: NonNullable<Store['presign']>;
  readonly presignPut?: NonNullable<Store['presignPut']>;
  readonly #store: Store;
  readonly #turns: Turns;
  readonly #bytesPerSecond: number;
  /** When a line of that width has passed what was sent so far, by `performance.now()`. */
  #freeAtMs = 0;

  constructor(store: Store, limits: StoreLimits) {
    this.storeId = store.storeId;
    this.location = store.location;
    this.#store = store;
    if (store.presign) this.presign = store.presign.bind(store);
    if (store.presignPut) this.presignPut = store.presignPut.bind(store);
    this.#turns = new Turns(limits.transfers ?? Number.POSITIVE_INFINITY);
    this.#bytesPerSecond = limits.uploadBytesPerSecond ?? Number.POSITIVE_INFINITY;
  }

  async put(key: string, source: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<StoredObject> {
    const done = await this.#turns.take(options.signal);
    try {
      return await this.#store.put(key, this.#paced(source, options.signal), options);
    } finally {
      done();
    }
  }

  async get(
    key: string,
    range?: ByteRange,
    options: { signal?: AbortSignal } = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const done = await this.#turns.take(options.signal);
    try {
      return tellingEnd((await this.#store.get(key, range, options))[Symbol.asyncIterator](), done);
    } catch (error) {
      done();
      throw error;
    }
  }

  async copy(from: string, to: string, options: CopyOptions = {}): Promise<StoredObject> {
    const done = await this.#turns.take(options.signal);
    try {
      return await this.#store.copy(from, to, options);
    } finally {
      done();
    }
  }

  list(prefix?: string): AsyncIterable<StoredObject> {
    return this.#store.list(prefix);
  }

  async head(key: string): Promise<StoredObject | undefined> {
    return await this.#store.head(key);
  }

  async delete(key: string): Promise<void> {
    await this.#store.delete(key);
  }

  unfinished(prefix?: string): AsyncIterable<Unfinished> {
    return this.#store.unfinished(prefix);
  }

  async freeBytes(): Promise<number | undefined> {
    return await this.#store.freeBytes();
  }

  close(): void {
    this.#store.close();
  }

  async *#paced(source: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      const now = performance.now();
      const startMs = Math.max(now, this.#freeAtMs);
      this.#freeAtMs = startMs + (chunk.length / this.#bytesPerSecond) * 1000;
      await pause(startMs - now, signal);
      yield chunk;
    }
  }
}

/** A number of turns, taken in the order in which they were asked for. */
class Turns {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(free: number) {
    this.#free = free;
  }

  /** @returns what gives the turn back */
  async take(signal: AbortSignal | undefined): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signalOr(signal));
    return () => this.#giveBack();
  }

  #giveBack(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    try {
      await orAborted(promise, signal);
    } catch (error) {
      const at = this.#waiting.indexOf(resolve);
      // Its turn may have come in the same moment: then it goes to the next.
      if (at >= 0) this.#waiting.splice(at, 1);
      else this.#giveBack();
      throw error;
    }
  }
}
