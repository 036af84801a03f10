import { fixedNames, mostPrefixOwnerBytes, parsePrefixOwner, type PrefixOwner } from '@strideiq/core';
import { once, readAll, StorageError, type Store } from '@strideiq/storage';
import { AgentError } from '../errors.ts';
import type { OpenedStore } from './opened-store.ts';

/** Whose prefix a store is: one database's, written down at its first backup. */
export type DatabaseOfPrefix = Omit<PrefixOwner, 'formatVersion' | 'storeId'>;

/**
 * Claims the prefix for a database, or makes sure that it is already this one's.
 * @param wasUsed whether copies of this database are known to have been stored there: then a directory that has nothing in it
 *   is taken for one whose disk is not mounted, unless somebody has put an empty file in the place of the owner's
 * @throws AgentError `PrefixTaken` where another database owns it, `StoreNotMounted`; any StorageError, which shows early
 *   that the store cannot be written
 */
export async function claimPrefix(
  { store, name, kind }: OpenedStore,
  owner: DatabaseOfPrefix,
  wasUsed: boolean,
): Promise<void> {
  const text = JSON.stringify({ formatVersion: 1, storeId: store.storeId, ...owner }, undefined, 2);
  const there = wasUsed ? await ownerIn({ store, kind }) : await store.head(fixedNames.owner);
  if (!there || there.sizeBytes === 0) {
    try {
      await store.put(fixedNames.owner, once(Buffer.from(`${text}\n`)), { replace: there !== undefined });
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

/**
 * Looks for the owner's file in a store that is known to hold copies, as the next backup will.
 * @throws AgentError `StoreNotMounted` for a directory that has nothing in it; any StorageError
 */
export async function ownerIn({ store, kind }: Pick<OpenedStore, 'store' | 'kind'>): ReturnType<Store['head']> {
  const there = await store.head(fixedNames.owner);
  if (!there && kind === 'directory' && (await isEmpty(store))) throw notMounted(store);
  return there;
}

async function isEmpty(store: Store): Promise<boolean> {
  for await (const _ of store.list()) return false;
  return true;
}

function notMounted({ location }: Store): AgentError {
  return new AgentError(
    'StoreNotMounted',
    `${location} is empty, and backups of this database were stored there: is its disk mounted?`,
    `Mount it. If it was emptied on purpose: \`touch ${location}/${fixedNames.owner}\`, and the next backup takes it.`,
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
