import { parseBackupName, type BackupNames } from '@strideiq/core';
import { eq } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { copies, stores } from '../catalog/schema.ts';
import type { StoreRow } from './own-stores.ts';

/** What looks things up: the catalog, or a transaction of it. */
export type CatalogReader = Pick<CatalogTransaction, 'select' | 'selectDistinct'>;

export interface BackupCopy {
  copy: typeof copies.$inferSelect;
  store: StoreRow;
}

/** The copies of a backup, the best to read from first: those that were read back, then those nearest to a host. */
export function copiesOf(tx: CatalogReader, backupId: string): BackupCopy[] {
  const rows = tx
    .select({ copy: copies, store: stores })
    .from(copies)
    .innerJoin(stores, eq(stores.id, copies.storeId))
    .where(eq(copies.backupId, backupId))
    .all();
  return rows.sort((a, b) => rankOf(a) - rankOf(b) || a.store.id.localeCompare(b.store.id));
}

function rankOf({ copy, store }: BackupCopy): number {
  return (copy.state === 'verified' ? 0 : 2) + (store.type === 'directory' ? 0 : 1);
}

/** Whether a copy is there to be read, by what is known of it. */
export function isReadable({ copy }: BackupCopy): boolean {
  return copy.state === 'stored' || copy.state === 'verified';
}

/**
 * The three objects of a copy; undefined for a key that is none of this database's dumps. Nothing else of a bucket is read
 * by the control plane's own rights, whatever an agent says is there.
 */
export function namesOf({ copy }: BackupCopy, database: string): BackupNames | undefined {
  const parsed = parseBackupName(copy.key);
  return parsed?.kind === 'dump' && parsed.database === database ? parsed.names : undefined;
}
