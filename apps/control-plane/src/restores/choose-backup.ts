import { and, desc, eq, lt } from 'drizzle-orm';
import { areGood, areOfNow, dataMoment } from '../backups/good-backups.ts';
import { backups, databases } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import { ControlPlaneError } from '../errors.ts';
import type { RestoreWhat } from '../runs/requests.ts';

export type BackupRow = typeof backups.$inferSelect;

/**
 * The backup to restore. The newest is by the moment that its data are of; one that is dated in the future, by a clock that
 * was off, never counts as the newest.
 * @throws ControlPlaneError `NotFound`, `BackupNotRestorable`
 */
export function chooseBackup(tx: CatalogReader, what: RestoreWhat, now: number): BackupRow {
  return 'backupId' in what ? backupById(tx, what.backupId) : newestOf(tx, what.databaseId, now);
}

function backupById(tx: CatalogReader, backupId: string): BackupRow {
  const backup = tx.select().from(backups).where(eq(backups.id, backupId)).get();
  if (!backup) {
    throw new ControlPlaneError('NotFound', `There is no backup ${backupId}.`, '`strideiq backups` lists them.');
  }
  if (backup.state === 'succeeded') return backup;
  throw new ControlPlaneError(
    'BackupNotRestorable',
    `The backup ${backupId} is ${backup.state}: no store has confirmed that it holds it whole.`,
    'Choose one that has succeeded; `strideiq backups` lists them.',
  );
}

function newestOf(tx: CatalogReader, databaseId: string, now: number): BackupRow {
  const database = tx.select().from(databases).where(eq(databases.id, databaseId)).get();
  if (!database) {
    throw new ControlPlaneError('NotFound', `There is no database ${databaseId}.`, '`strideiq databases` lists them.');
  }
  const newest = newestBackup(tx, databaseId, now);
  if (newest) return newest;
  throw new ControlPlaneError(
    'BackupNotRestorable',
    `The database ${database.name} has no backup of which a good copy is known.`,
    'Make one: `strideiq backup`.',
  );
}

/**
 * The newest that succeeded and of which a good copy is known; none that was made just before its database was replaced.
 * @param beforeMs of data that are older than this
 */
export function newestBackup(
  tx: CatalogReader,
  databaseId: string,
  now: number,
  beforeMs?: number,
): BackupRow | undefined {
  const good = areGood(tx, { databaseId, copyStates: ['stored', 'verified'] });
  return tx
    .select()
    .from(backups)
    .where(and(good, areOfNow(now), beforeMs === undefined ? undefined : lt(dataMoment, beforeMs)))
    .orderBy(desc(dataMoment), desc(backups.id))
    .limit(1)
    .get();
}
