import { backupStates, copyStates, type CopyState } from '@strideiq/core';
import type { ReportedBackup } from '@strideiq/protocol';
import { and, eq } from 'drizzle-orm';
import { backups, copies } from '../catalog/schema.ts';
import { isOwnStore, notOwned, ownBackupOrNew } from '../reports/owned.ts';
import type { Reported } from '../reports/reported.ts';

type ReportedCopy = ReportedBackup['copies'][number];

/**
 * Records a backup that a run made, and its copies.
 * @returns what people should know of it beside what the host told
 * @throws ControlPlaneError `NotOwner`
 */
export function recordBackup(
  { tx, agentId, hostAt, now }: Reported,
  said: ReportedBackup,
  { runId, databaseId, ended }: { runId: string; databaseId: string; ended: boolean },
): { id: string; warnings: string[] } {
  const { backupId: id, copies: saidCopies, snapshotAt, adopted = false, ...rest } = said;
  const hostSnapshotAt = snapshotAt === null ? null : Date.parse(snapshotAt);
  // Nothing was backed up when somebody took in what was there.
  const hostFinishedAt = adopted ? (hostSnapshotAt ?? 0) : hostAt;
  const known = ownBackupOrNew(tx, databaseId, id);
  if (known && known.runId !== runId) notOwned('backup', id);
  // One that lies where it does not belong is no reason to leave out the others, which may be all that there is.
  const own = saidCopies.map((copy) => ({ ...copy, isOwn: isOwnStore(tx, databaseId, copy.storeId) }));
  const state = known?.state ?? backupStates.initial;
  if (!known) {
    const made = { id, databaseId, runId, agentId, state, hostSnapshotAt, hostFinishedAt, recordedAt: now };
    tx.insert(backups)
      .values({ ...rest, ...made })
      .run();
  }
  for (const copy of own) if (copy.isOwn) recordCopy(tx, id, copy, { hostAt, now });
  const end = own.some((copy) => copy.state === 'stored') ? 'succeeded' : 'failed';
  if (ended && state === 'running') {
    tx.update(backups)
      .set({ state: backupStates.move(state, end), hostFinishedAt })
      .where(eq(backups.id, id))
      .run();
  }
  const leftOut = own.filter(({ isOwn }) => !isOwn).map(({ storeId, key }) => notItsStore(storeId, key));
  return { id, warnings: leftOut };
}

/** What was read back since, or deleted, knows better than the run that made it; a copy that failed may have been made since. */
function recordCopy(
  tx: Reported['tx'],
  backupId: string,
  said: ReportedCopy,
  { hostAt, now }: Pick<Reported, 'hostAt' | 'now'>,
): void {
  const { storeId, key, sizeBytes, error } = said;
  const ofCopy = and(eq(copies.backupId, backupId), eq(copies.storeId, storeId));
  const known = tx.select().from(copies).where(ofCopy).get();
  if (known && !(known.state === 'failed' && said.state === 'stored')) return;
  let state: CopyState = known?.state ?? copyStates.initial;
  for (const step of copyStates.path(state, said.state) ?? []) state = copyStates.move(state, step);
  const told = {
    key,
    state,
    sizeBytes: sizeBytes ?? null,
    modifiedAt: null,
    errorCode: error?.code ?? null,
    error: error?.text ?? null,
    changedAt: now,
    hostSince: Math.min(hostAt, now),
  };
  tx.insert(copies)
    .values({ backupId, storeId, ...told })
    .onConflictDoUpdate({ target: [copies.backupId, copies.storeId], set: told })
    .run();
}

/** The same for a store of another database and for one that nobody knows: what others have is nobody's business. */
function notItsStore(storeId: string, key: string): string {
  return (
    `The copy ${key} is in the store ${storeId}, which is not known here as this database's: it is not among the copies ` +
    'of this backup. See that agent.yaml names the store, with a prefix or a path that no other database has.'
  );
}
