import { fixedNames, idSchema } from '@strideiq/core';
import { StorageError } from '@strideiq/storage';
import { z } from 'zod';
import { AgentError } from '../errors.ts';
import { once, readAll, type OpenedStore } from './opened-store.ts';

const ownerSchema = z.object({
  formatVersion: z.literal(1),
  storeId: idSchema,
  environment: z.string(),
  database: z.string(),
  databaseId: idSchema,
});

/** Whose prefix a store is: one database's, written down at its first backup. */
export type PrefixOwner = Omit<z.infer<typeof ownerSchema>, 'formatVersion' | 'storeId'>;

/**
 * Claims the prefix for a database, or makes sure that it is already this one's.
 * @throws AgentError `PrefixTaken` where another database owns it; any StorageError, which shows early that the store
 *   cannot be written
 */
export async function claimPrefix({ store, name }: OpenedStore, owner: PrefixOwner): Promise<void> {
  const text = JSON.stringify({ formatVersion: 1, storeId: store.storeId, ...owner }, undefined, 2);
  if (!(await store.head(fixedNames.owner))) {
    try {
      await store.put(fixedNames.owner, once(Buffer.from(`${text}\n`)));
      return;
    } catch (error) {
      if (!(error instanceof StorageError && error.code === 'ObjectExists')) throw error;
    }
  }
  const found = ownerSchema.safeParse(parseJson(await readAll(await store.get(fixedNames.owner), 65_536)));
  if (found.success && found.data.databaseId === owner.databaseId) return;
  const whose = found.success
    ? `database ${found.data.database} of environment ${found.data.environment}`
    : 'somebody whose name cannot be read';
  throw new AgentError(
    'PrefixTaken',
    `The store ${name} (${store.location}) belongs to ${whose}, by its ${fixedNames.owner}; a prefix holds the backups of one database.`,
    'Give this database a path or prefix of its own, for example with {environment} and {database} in it.',
  );
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}
