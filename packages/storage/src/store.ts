/** An object as its store describes it. Keys are relative to the store's prefix and hold no leading slash. */
export interface StoredObject {
  key: string;
  sizeBytes: number;
  modifiedAt: Date;
}

export interface PutOptions {
  /**
   * Aborting it ends the put with the signal's reason, and leaves nothing behind. Once every byte is sent and the store
   * has been asked to make the object, it is too late: that request cannot be called back, and the put ends as it ends.
   */
  signal?: AbortSignal;
  /** Only for names that are meant to be replaced (LATEST, RECOVER.txt): the switch is atomic. Default: never overwrite. */
  replace?: boolean;
  /**
   * About how many bytes the source will yield, where that is known: a store chooses the size of its steps by it. An
   * estimate, never a limit: the source may yield fewer, or many more.
   */
  expectedBytes?: number;
  /** Bytes the store has taken so far, for progress and for noticing a stall. */
  onStored?: (bytes: number) => void;
}

export interface CopyOptions {
  signal?: AbortSignal;
  /** As for a put. */
  replace?: boolean;
  /**
   * Names this copy, so that it can be asked for again when its answer went lost: the object that it made then is its
   * success, and not in its way. Left out: a new one.
   */
  copyId?: string;
}

/** `length` left out: to the end. */
export interface ByteRange {
  offset: number;
  length?: number;
}

/** What a put that never ended left behind: a temporary file or a multipart upload. */
export interface Unfinished {
  key: string;
  startedAt: Date;
  /** Removes it; one that is gone already is fine. */
  discard(): Promise<void>;
}

/**
 * A place that keeps objects under keys. Every store passes `./testing/conformance.ts`, which is this contract as tests.
 *
 * Errors are `StorageError`s with a code that tells what can be done: see `errors.ts`. A store retries nothing on its
 * own but the parts of a put, whose bytes only it still holds; `withRetry` adds retries to the rest.
 */
export interface Store {
  /** Derived from the place itself (`storeIdOf`), never from its local name. */
  readonly storeId: string;
  /** For people: `/backups` or `s3://bucket/prefix/`. */
  readonly location: string;

  /**
   * Stores everything `source` yields under `key`, or nothing at all. The object appears under its final name whole,
   * durable and with its size confirmed, or not at all: also when the source throws, the signal aborts, or the process
   * is killed (what that leaves is in `unfinished()`, never under the key).
   * Takes from the source only as fast as it stores; holds a bounded number of bytes whatever the size. What the source
   * yields is looked at no more once the next is asked for: a source may use one buffer again and again.
   * @throws StorageError `ObjectExists` when the key is taken and `replace` is not set; the object there is untouched
   * @throws whatever the source threw, as it was
   */
  put(key: string, source: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<StoredObject>;

  /**
   * The bytes of an object, or of a range of it, as they arrive. A stream that breaks off errors; it never just ends.
   * It may hold a connection, and a turn, until it was read to its end, left early, or aborted: whoever does not read it
   * after all closes it (`stream[Symbol.asyncIterator]().return?.()`).
   * @throws StorageError `ObjectMissing`; `RangeInvalid` for a range that begins past the end
   */
  get(key: string, range?: ByteRange, options?: { signal?: AbortSignal }): Promise<AsyncIterable<Uint8Array>>;

  /** Objects whose key begins with `prefix`, in ascending order of their keys' bytes. Unfinished puts are not among them. */
  list(prefix?: string): AsyncIterable<StoredObject>;

  /** The object's description, or undefined where there is none. */
  head(key: string): Promise<StoredObject | undefined>;

  /**
   * Copies within the store without moving the bytes through this process, of any size, as atomically as `put`.
   * @throws StorageError `ObjectMissing`, `ObjectExists`
   */
  copy(from: string, to: string, options?: CopyOptions): Promise<StoredObject>;

  /**
   * Removes an object; one that is not there is fine.
   * @throws StorageError `ObjectLocked` where the store's own rules keep it
   */
  delete(key: string): Promise<void>;

  /** What puts that never ended have left under keys that begin with `prefix`; also those still under way elsewhere. */
  unfinished(prefix?: string): AsyncIterable<Unfinished>;

  /**
   * A URL by which whoever has it may read the object, and ranges of it, for `expiresInSeconds` (1 to 604,800) and with
   * nothing else: it is a secret, to be handed on and never written down. It stands on this store's own credentials and
   * ends with them; the server is not asked, so it may lead to an object that is not there. Only where the store can.
   */
  presign?(key: string, options: { expiresInSeconds: number }): Promise<string>;

  /**
   * The same by which whoever has it may put one object of that size there in a single request (S3: up to 5 GB), and over
   * whatever stands under that name.
   */
  presignPut?(key: string, options: { expiresInSeconds: number; sizeBytes: number }): Promise<PutUrl>;

  /** Bytes that still fit, or undefined where the store does not say. */
  freeBytes(): Promise<number | undefined>;

  /** Lets go of sockets and handles. */
  close(): void;
}

/** Where an object may be put, with the headers that the request has to bear. */
export interface PutUrl {
  url: string;
  headers: Record<string, string>;
}
