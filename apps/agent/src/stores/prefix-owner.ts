import { fixedNames, mostPrefixOwnerBytes, parsePrefixOwner, type PrefixOwner } from '@strideiq/core';
import { once, readAll, StorageError, type Store } from '@strideiq/storage';
import { AgentError } from '../errors.ts';
import type { OpenedStore } from './opened-store.ts';

/** Whose prefix a store is: one database's, written down at its first backup. */
export type DatabaseOfPrefix = Omit<PrefixOwner, 'formatVersion' | 'storeId'>;

/**
 * Claims the prefix for a database, or makes sure that it is already this one's.
 * @throws AgentError `PrefixTaken` where another database owns it; any StorageError, which shows early that the store
 *   cannot be written
 */
export async function claimPrefix({ store, name }: OpenedStore, owner: DatabaseOfPrefix): Promise<void> {
  const text = JSON.stringify({ formatVersion: 1, storeId: store.storeId, ...owner }, undefined, 2);
  if (!(await store.head(fixedNames.owner))) {
    try {
      await store.put(fixedNames.owner, once(Buffer.from(`${text}\n`)));
      return;
    } catch (error) {
      if (!(error instanceof StorageError && error.code === 'ObjectExists')) throw error;
    }
  }
  const found = await ownerOf(store);
  if (found?.databaseId === owner.databaseId) return;
  const whose = found
    ? `database ${found.database} of environment ${found.environment}`
    : 'somebody whose name cannot be read';
  throw new AgentError(
    'PrefixTaken',
    `The store ${name} (${store.location}) belongs to ${whose}, by its ${fixedNames.owner}; a prefix holds the backups of one database.`,
    'Give this database a path or prefix of its own, for example with {environment} and {database} in it.',
  );
}

/** Whether the prefix is known to be this database's; one that nobody has claimed is nobody's. */
export async function ownsPrefix({ store }: OpenedStore, databaseId: string): Promise<boolean> {
  if (!(await store.head(fixedNames.owner))) return false;
  return (await ownerOf(store))?.databaseId === databaseId;
}

async function ownerOf(store: Store): Promise<PrefixOwner | undefined> {
  return parsePrefixOwner(await readAll(await store.get(fixedNames.owner), mostPrefixOwnerBytes));
}
