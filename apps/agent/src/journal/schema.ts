import { blob, index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

/** Where a run's process can be found again: the pid alone may since belong to somebody else. */
export interface RunOwner {
  pid: number;
  /** Start of the process in clock ticks since `bootId`, field 22 of /proc/PID/stat; 0 where there is no /proc. */
  startTicks: number;
  bootId: string;
  /** In which pid and ticks mean something: two containers may share a state directory. */
  pidNamespace?: string;
}

/** A copy that a backup means to make, written down before its first byte leaves. */
export interface PlannedCopy {
  storeId: string;
  /** Local name and place, for people. */
  store: string;
  location: string;
  dumpKey: string;
}

/** How one copy ended. */
export interface CopyOutcome extends PlannedCopy {
  state: 'stored' | 'failed';
  sizeBytes?: number;
  errorCode?: string;
  error?: string;
  /** It failed with its upload begun, whose rest may still be there where the store could not be reached any more. */
  mayHaveLeft?: true;
}

/** What is known of a run beyond its columns; grows as the run goes on. */
export interface RunDetail {
  backupId?: string;
  copies?: (PlannedCopy | CopyOutcome)[];
  /** Database made by a restore that is not yet finished, dropped at the next start if it is still there. */
  scratchDatabase?: string;
  /** Its oid, which it keeps when it gets its final name. */
  scratchOid?: number;
  /** The server it was made on, as `describeServer` tells it: another one is not asked about it. */
  server?: string;
  /** Name that a restore is to give it. */
  into?: string;
  /** REF as it was asked for. */
  source?: string;
  /** When what a run that has ended may have left was seen to be gone; milliseconds since 1970. */
  clearedAt?: number;
  warnings?: string[];
  bytes?: number;
  rawBytes?: number;
  rows?: number;
}

/** Every execution of work on this host, and how it ended. */
export const runs = sqliteTable(
  'runs',
  {
    id: text('id').primaryKey(),
    kind: text('kind', { enum: ['backup', 'restore', 'verify', 'drill'] }).notNull(),
    environment: text('environment').notNull(),
    database: text('database').notNull(),
    databaseId: text('database_id').notNull(),
    state: text('state').notNull(),
    /** Milliseconds since 1970, by this host's clock. */
    startedAt: integer('started_at').notNull(),
    finishedAt: integer('finished_at'),
    owner: text('owner', { mode: 'json' }).$type<RunOwner>().notNull(),
    detail: text('detail', { mode: 'json' }).$type<RunDetail>().notNull(),
    errorCode: text('error_code'),
    error: text('error'),
  },
  (table) => [index('runs_by_state').on(table.state), index('runs_by_database').on(table.databaseId, table.startedAt)],
);

/** A backup's manifest and privileges, written before the stores commit: with them a killed backup can be finished. */
export const seals = sqliteTable('seals', {
  runId: text('run_id')
    .primaryKey()
    .references(() => runs.id, { onDelete: 'cascade' }),
  backupId: text('backup_id').notNull(),
  manifest: text('manifest').notNull(),
  manifestSha256: text('manifest_sha256').notNull(),
  privileges: blob('privileges', { mode: 'buffer' }),
});
