import type { ListedObject } from '@strideiq/core';
import type { Store } from '@strideiq/storage';

/** What a store held at one moment, by key. */
export type Listing = ReadonlyMap<string, ListedObject>;

/** More than any database's backups are: whoever has put more there is not to fill this program's memory. */
const mostObjects = 100_000;

/** @throws StorageError; RangeError beyond that many objects; the signal's reason */
export async function listingOf(store: Store, signal: AbortSignal): Promise<Listing> {
  const objects = new Map<string, ListedObject>();
  for await (const { key, sizeBytes, modifiedAt } of store.list()) {
    signal.throwIfAborted();
    objects.set(key, { key, sizeBytes, modifiedAt: modifiedAt.getTime() });
    if (objects.size > mostObjects) throw new RangeError(`${store.location} holds more than ${mostObjects} objects`);
  }
  return objects;
}
