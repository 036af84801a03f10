import { clockToleranceMs, type CopyState } from '@strideiq/core';
import { and, eq, exists, inArray, lte, sql, type SQL } from 'drizzle-orm';
import { backups, copies, stores } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';

/** Moment that a backup's data are of. */
export const dataMoment = sql<number>`coalesce(${backups.hostSnapshotAt}, ${backups.hostFinishedAt})`;

export interface GoodBackups {
  databaseId: string;
  /** Those of which a copy is in one of these states. */
  copyStates: readonly CopyState[];
  /** In stores of this type alone; left out: in any. */
  storeType?: 'directory' | 's3';
}

/** Condition for backups that succeeded and of which there is a copy; none that was made just before its database was replaced. */
export function areGood(tx: CatalogReader, { databaseId, copyStates, storeType }: GoodBackups): SQL | undefined {
  const there = and(
    eq(copies.backupId, backups.id),
    inArray(copies.state, [...copyStates]),
    storeType === undefined ? undefined : eq(stores.type, storeType),
  );
  return and(
    eq(backups.databaseId, databaseId),
    eq(backups.state, 'succeeded'),
    eq(backups.safety, false),
    exists(
      tx
        .select({ one: sql`1` })
        .from(copies)
        .innerJoin(stores, eq(stores.id, copies.storeId))
        .where(there),
    ),
  );
}

/** Condition for those that are not dated in the future, by a clock that was off. */
export function areOfNow(now: number): SQL {
  return lte(dataMoment, now + clockToleranceMs);
}
