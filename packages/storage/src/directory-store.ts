import { constants, type Stats } from 'node:fs';
import { link, lstat, open, rename, statfs, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { storeIdOf } from '@strideiq/core';
import { directoryError } from './directory-errors.ts';
import {
  cannotLink,
  createPartial,
  failedWith,
  linkOver,
  makeFolder,
  nameForGood,
  refuseLinks,
  removeFile,
  syncFolder,
} from './directory-files.ts';
import { walk } from './directory-walk.ts';
import { StorageError } from './errors.ts';
import { checkKey } from './keys.ts';
import { checkRange, rangePastEnd } from './ranges.ts';
import type { ByteRange, CopyOptions, PutOptions, Store, StoredObject, Unfinished } from './store.ts';
import { signalOr, takeFrom } from './take.ts';

export interface DirectoryStoreOptions {
  /** Folder that holds the objects; made at the first put, 0700, where it is missing. */
  path: string;
  /** Name of the machine: the same path on another one is another store. */
  host: string;
}

/** Bytes read at a time: few enough system calls for a disk's full speed, little enough memory for many readers. */
const readBytes = 256 * 1024;

export function openDirectoryStore(options: DirectoryStoreOptions): DirectoryStore {
  return new DirectoryStore(options);
}

/** Objects as files below one folder, a key's slashes being folders. Links below it are not followed. */
export class DirectoryStore implements Store {
  readonly storeId: string;
  readonly location: string;

  /** @internal Made by {@link openDirectoryStore}. */
  constructor({ path, host }: DirectoryStoreOptions) {
    this.location = resolve(path);
    this.storeId = storeIdOf({ type: 'directory', host, path: this.location });
  }

  async put(key: string, source: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<StoredObject> {
    const path = await this.#pathOf(key);
    const replace = options.replace ?? false;
    options.signal?.throwIfAborted();
    if (!replace && (await this.head(key))) throw exists(path);
    const { partial, handle } = await this.#attempt('Creating a file for', path, async () => {
      await makeFolder(dirname(path), this.location);
      return await createPartial(path);
    });
    try {
      const sizeBytes = await this.#write(handle, path, source, options);
      const made = await this.#stat(partial);
      await this.#attempt('Storing', path, async () => {
        await (replace ? rename(partial, path) : nameForGood(partial, path)).catch((error: unknown) => {
          throw failedWith(error, 'EEXIST') ? exists(path, error) : error;
        });
      });
      const settling = this.#attempt('Storing', path, async () => {
        await syncFolder(dirname(path));
        // After `link` it is a second name of the object.
        await removeFile(partial);
        return await this.#confirm(key, sizeBytes);
      });
      // What replaced another stays: it is whole, and the other is gone already.
      return await (replace ? settling : settling.catch(async (error) => await this.#takeBack(path, made, error)));
    } catch (error) {
      // Why the put failed matters more than why its rest stays; `unfinished` lists what does.
      await removeFile(partial).catch(() => undefined);
      throw error;
    }
  }

  /** Writes all of `source` and makes it durable; closes the handle in any case. */
  async #write(
    handle: FileHandle,
    path: string,
    source: AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<number> {
    let storedBytes = 0;
    try {
      for await (const chunk of takeFrom(source, signalOr(options.signal))) {
        await this.#attempt('Writing', path, async () => {
          for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at)).bytesWritten;
        });
        storedBytes += chunk.length;
        options.onStored?.(storedBytes);
      }
      await this.#attempt('Flushing', path, async () => {
        await handle.sync();
      });
      options.signal?.throwIfAborted();
      return storedBytes;
    } finally {
      await handle.close();
    }
  }

  /**
   * Takes away the name that a put or a copy has just made and could not make durable or confirm; one that somebody else
   * has put there since stays.
   * @throws `error`
   */
  async #takeBack(path: string, made: Stats | undefined, error: unknown): Promise<never> {
    const found = await this.#stat(path).catch(() => undefined);
    const ours = made !== undefined && found?.ino === made.ino && found.dev === made.dev;
    // Why it failed matters more than why its rest stays.
    if (ours) await unlink(path).catch(() => undefined);
    throw error;
  }

  async #confirm(key: string, sizeBytes: number): Promise<StoredObject> {
    const stored = await this.head(key);
    if (stored?.sizeBytes === sizeBytes) return stored;
    throw new StorageError(
      'ContentLost',
      `${join(this.location, key)} was given ${sizeBytes} bytes and now ${stored ? `holds ${stored.sizeBytes}` : 'is gone'}.`,
      'Something else writes into this folder: find it before the next backup, and take that backup soon.',
    );
  }

  async get(
    key: string,
    range?: ByteRange,
    options: { signal?: AbortSignal } = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const path = await this.#pathOf(key);
    checkRange(range, path);
    options.signal?.throwIfAborted();
    const object = await this.head(key);
    if (object === undefined) throw missing(path);
    if (range !== undefined && range.offset >= object.sizeBytes) throw rangePastEnd(range, path, object.sizeBytes);
    return this.#read(path, range, options.signal);
  }

  /** Opens the file only once somebody reads, so that a stream that nobody takes holds no handle. */
  async *#read(path: string, range: ByteRange | undefined, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const handle = await this.#attempt('Opening', path, async () => {
      return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    });
    try {
      const { size } = await handle.stat();
      const end = range?.length === undefined ? size : Math.min(size, range.offset + range.length);
      for (let at = range?.offset ?? 0; at < end;) {
        signal?.throwIfAborted();
        const wanted = Math.min(readBytes, end - at);
        const position = at;
        const { bytesRead, buffer } = await this.#attempt('Reading', path, async () => {
          return await handle.read(Buffer.allocUnsafeSlow(wanted), 0, wanted, position);
        });
        if (bytesRead === 0) throw shrank(path, at, size);
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await handle.close();
    }
  }

  async *list(prefix = ''): AsyncGenerator<StoredObject> {
    for await (const file of this.#walk(prefix)) {
      if (file.partial) continue;
      const object = await this.#describe(file.key, file.path);
      if (object) yield object;
    }
  }

  async head(key: string): Promise<StoredObject | undefined> {
    return await this.#describe(key, await this.#pathOf(key));
  }

  async copy(from: string, to: string, options: CopyOptions = {}): Promise<StoredObject> {
    const [source, path] = [await this.#pathOf(from), await this.#pathOf(to)];
    options.signal?.throwIfAborted();
    const original = await this.head(from);
    if (original === undefined) throw missing(source);
    try {
      await makeFolder(dirname(path), this.location);
      await (options.replace === true ? linkOver(source, path) : link(source, path));
    } catch (error) {
      if (failedWith(error, 'EEXIST')) throw exists(path, error);
      if (cannotLink(error)) return await this.put(to, this.#read(source, undefined, options.signal), options);
      throw directoryError(error, { doing: `Copying ${source} to`, path });
    }
    const made = await this.#stat(source);
    const settling = this.#attempt(`Copying ${source} to`, path, async () => {
      await syncFolder(dirname(path));
      return await this.#confirm(to, original.sizeBytes);
    });
    const replaced = options.replace === true;
    return await (replaced ? settling : settling.catch(async (error) => await this.#takeBack(path, made, error)));
  }

  async delete(key: string): Promise<void> {
    const path = await this.#pathOf(key);
    try {
      await unlink(path);
      await syncFolder(dirname(path));
    } catch (cause) {
      if (failedWith(cause, 'ENOENT', 'ENOTDIR')) return;
      if (failedWith(cause, 'EPERM')) throw locked(path, cause);
      throw directoryError(cause, { doing: 'Deleting', path });
    }
  }

  async *unfinished(prefix = ''): AsyncGenerator<Unfinished> {
    for await (const { key, path, partial } of this.#walk(prefix)) {
      if (!partial) continue;
      const found = await this.#stat(path);
      if (found === undefined) continue;
      // Some file systems keep no time of birth and say 0.
      const startedAt = found.birthtimeMs > 0 ? found.birthtime : found.mtime;
      const discard = async (): Promise<void> => {
        await this.#attempt('Removing', path, async () => {
          await removeFile(path);
        });
      };
      yield { key, startedAt, discard };
    }
  }

  /** What an unprivileged user may still write on the file system, or the one that the folder will be made on. */
  async freeBytes(): Promise<number | undefined> {
    for (let path = this.location; ; path = dirname(path)) {
      try {
        const { bavail, bsize } = await statfs(path);
        return bavail * bsize;
      } catch (error) {
        if (failedWith(error, 'ENOENT') && path !== '/') continue;
        throw directoryError(error, { doing: 'Asking for the free space of', path });
      }
    }
  }

  close(): void {
    // Handles live no longer than the call or the stream that opened them.
  }

  /** Where a key's file is, or will be; refuses one that a link below the store's folder would lead elsewhere. */
  async #pathOf(key: string): Promise<string> {
    checkKey(key);
    const path = join(this.location, key);
    if (!key.includes('/')) return path;
    await this.#attempt('Finding', path, async () => {
      await refuseLinks(dirname(path), this.location);
    });
    return path;
  }

  async *#walk(prefix: string): ReturnType<typeof walk> {
    try {
      yield* walk(this.location, prefix);
    } catch (error) {
      const at = error instanceof Error && 'path' in error ? String(error.path) : this.location;
      throw directoryError(error, { doing: 'Listing', path: at });
    }
  }

  async #describe(key: string, path: string): Promise<StoredObject | undefined> {
    const found = await this.#stat(path);
    return found?.isFile() === true ? { key, sizeBytes: found.size, modifiedAt: found.mtime } : undefined;
  }

  async #stat(path: string): Promise<Stats | undefined> {
    try {
      return await lstat(path);
    } catch (error) {
      if (failedWith(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw directoryError(error, { doing: 'Looking at', path });
    }
  }

  async #attempt<T>(doing: string, path: string, step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      throw directoryError(error, { doing, path });
    }
  }
}

function exists(path: string, cause?: unknown): StorageError {
  return new StorageError(
    'ObjectExists',
    `${path} is there already, and backups are never overwritten.`,
    'Choose another name; delete the one that is there only if you are sure that nobody needs it.',
    { cause },
  );
}

function missing(path: string): StorageError {
  return new StorageError('ObjectMissing', `${path} is not there.`, 'List the store to see what it holds.');
}

function shrank(path: string, at: number, size: number): StorageError {
  return new StorageError(
    'ContentLost',
    `${path} ended at byte ${at} while it was read, though it had ${size} bytes when it was opened.`,
    'Something cut it short: find out what else writes into this folder, and use another copy of this backup.',
  );
}

function locked(path: string, cause: unknown): StorageError {
  return new StorageError(
    'ObjectLocked',
    `The operating system keeps ${path} from being deleted (EPERM).`,
    'It has the immutable attribute (`lsattr`, `chattr -i`), or lies in a sticky folder and belongs to another user.',
    { cause },
  );
}
