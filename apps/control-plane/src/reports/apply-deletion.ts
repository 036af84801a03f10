import { copyStates, type CopyState } from '@strideiq/core';
import type { DeletionReport } from '@strideiq/protocol';
import { and, eq } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import { backups, copies, databases, stores } from '../catalog/schema.ts';
import { notOwned, ownDatabase } from './owned.ts';
import type { Reported } from './reported.ts';

/**
 * A copy in a directory that its host removes by retention; one that is not known here was of before the catalog. Of a bucket
 * no host's word is taken: it has no right to delete there, and who says so may only want a good copy to be forgotten.
 */
export function applyDeletion({ tx, agentId, now }: Reported, said: DeletionReport): void {
  const { databaseId, storeId, key, reason } = said;
  ownDatabase(tx, agentId, databaseId);
  const store = tx.select().from(stores).where(eq(stores.id, storeId)).get();
  if (store?.databaseId !== databaseId || store.type !== 'directory') notOwned('store', storeId);
  const copy = tx
    .select({ backupId: copies.backupId, state: copies.state })
    .from(copies)
    .innerJoin(backups, eq(backups.id, copies.backupId))
    .where(and(eq(copies.storeId, storeId), eq(copies.key, key), eq(backups.databaseId, databaseId)))
    .get();
  const database = tx.select().from(databases).where(eq(databases.id, databaseId)).get();
  const detail = { databaseId, storeId, key, reason, ...(copy ? { backupId: copy.backupId } : {}) };
  const environment = database?.environment;
  const entry = { actor: `agent:${agentId}`, action: 'copy.delete', subject: databaseId, detail };
  recordAudit(tx, environment === undefined ? entry : { ...entry, environment }, now);
  if (!copy) return;
  let state: CopyState = copy.state;
  for (const step of copyStates.path(state, 'deleted') ?? []) state = copyStates.move(state, step);
  tx.update(copies)
    .set({ state, changedAt: now })
    .where(and(eq(copies.backupId, copy.backupId), eq(copies.storeId, storeId)))
    .run();
}
