import { and, desc, eq } from 'drizzle-orm';
import { backups, runs } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import type { RunRow } from '../runs/move-run.ts';

/** The last drill that succeeded of one of this database's backups, wherever that was. */
export function goodDrillOf(tx: CatalogReader, databaseId: string): RunRow | undefined {
  return tx
    .select({ run: runs })
    .from(runs)
    .innerJoin(backups, eq(backups.id, runs.backupId))
    .where(and(eq(runs.kind, 'drill'), eq(runs.state, 'succeeded'), eq(backups.databaseId, databaseId)))
    .orderBy(desc(runs.endedAt), desc(runs.id))
    .limit(1)
    .get()?.run;
}
