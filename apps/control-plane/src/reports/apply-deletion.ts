import { copyStates, type CopyState } from '@strideiq/core';
import type { DeletionReport } from '@strideiq/protocol';
import { and, eq } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import { backups, copies, databases, stores } from '../catalog/schema.ts';
import { notOwned, ownDatabase } from './owned.ts';
import type { Reported } from './reported.ts';

/**
 * A copy in a directory that its host removes by retention. Of a bucket no host's word is taken: it has no right to delete there, and who says so may only want a good copy to be forgotten.
 */
export function applyDeletion({ tx, agentId, hostAt, now }: Reported, said: DeletionReport): void {
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
  // Said again, or of what is not known, it changes nothing: the audit is not for an agent to fill.
  const steps = copy && copyStates.path(copy.state, 'deleted');
  if (!steps || steps.length === 0) return;
  const { backupId } = copy;
  const database = tx.select().from(databases).where(eq(databases.id, databaseId)).get();
  const environment = database?.environment;
  const detail = { databaseId, storeId, backupId, key, reason };
  const entry = { actor: `agent:${agentId}`, action: 'copy.delete', subject: databaseId, detail };
  recordAudit(tx, environment === undefined ? entry : { ...entry, environment }, now);
  let state: CopyState = copy.state;
  for (const step of steps) state = copyStates.move(state, step);
  tx.update(copies)
    .set({ state, changedAt: now, hostSince: Math.min(hostAt, now) })
    .where(and(eq(copies.backupId, backupId), eq(copies.storeId, storeId)))
    .run();
}
