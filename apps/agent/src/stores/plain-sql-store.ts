import { Readable, pipeline } from 'node:stream';
import { constants, createGzip } from 'node:zlib';
import type { ByteRange, CopyOptions, PutOptions, Store, StoredObject, Unfinished } from '@strideiq/storage';

/**
 * A place of dumps that nobody compressed, read as if somebody had: gzip without compression is what all readers of
 * dumps understand, and costs next to nothing.
 */
export class PlainSqlStore implements Store {
  readonly storeId: string;
  readonly location: string;
  readonly #store: Store;

  constructor(store: Store) {
    this.storeId = store.storeId;
    this.location = store.location;
    this.#store = store;
  }

  async get(
    key: string,
    range?: ByteRange,
    options: { signal?: AbortSignal } = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const plain = Readable.from(await this.#store.get(key, range, options), { objectMode: true });
    const compressed = createGzip({ level: constants.Z_NO_COMPRESSION, chunkSize: 256 * 1024 });
    // Ends both sides when either fails; the error arrives at whoever reads.
    pipeline(plain, compressed, () => {});
    return compressed;
  }

  async put(key: string, source: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<StoredObject> {
    return this.#store.put(key, source, options);
  }

  list(prefix?: string): AsyncIterable<StoredObject> {
    return this.#store.list(prefix);
  }

  async head(key: string): Promise<StoredObject | undefined> {
    return this.#store.head(key);
  }

  async copy(from: string, to: string, options?: CopyOptions): Promise<StoredObject> {
    return this.#store.copy(from, to, options);
  }

  async delete(key: string): Promise<void> {
    return this.#store.delete(key);
  }

  unfinished(prefix?: string): AsyncIterable<Unfinished> {
    return this.#store.unfinished(prefix);
  }

  async freeBytes(): Promise<number | undefined> {
    return this.#store.freeBytes();
  }

  close(): void {
    this.#store.close();
  }
}
