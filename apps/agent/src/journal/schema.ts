import type { CommandState, Drift } from '@strideiq/core';
import type { PushedPolicy, ReportAnswers, ReportBodies, ReportedBackup, ReportKind } from '@strideiq/protocol';
import { blob, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';

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
  /** When it was made from another copy, where its run could not make it; milliseconds since 1970. */
  madeAt?: number;
  /** When retention has removed it: it is not missed, and not made again. */
  removedAt?: number;
}

/** What a backup holds, known once its manifest is sealed: a killed one that is finished later tells the same. */
export type SealedBackup = Omit<ReportedBackup, 'backupId' | 'copies'>;

/**
 * How far a restore in place is. From `swapping` on the databases' oids alone tell who bears the name: see
 * in-place/recover.ts.
 */
export type InPlaceStep = 'restoring' | 'beforeSwap' | 'swapping' | 'afterSwap' | 'undoing';

/** Of a restore that gives one database the name of another. */
export interface InPlace {
  /** The name on the server. */
  database: string;
  /** Of the database that had it before. */
  oid: number;
  /** What that one is called once it is replaced. */
  keptAs: string;
  /** The last step that was begun. */
  step: InPlaceStep;
  /** What the restored one is called where this run has taken itself back. */
  undoneAs?: string;
  /** The run that this one takes back: it gives a database its name back, and makes none. */
  undoOf?: string;
  /** The backup of the replaced database that was made first. */
  safetyBackupId?: string;
}

/** What a drill has shown. */
export interface DrillResult {
  /** From the first look at the server to a database that was compared: the time that a real restore would take. */
  restoreMs: number;
  /** Whether it tells of a real restore, which stores its values as the server does by itself. */
  countsAsRto: boolean;
  /** How old the newest data were when it began. */
  dataAgeMs: number;
  /** Tables whose rows were compared with the dump's, one by one. */
  sampledTables: number;
  sampledRows: number;
  /** The host's own, all of which held. */
  assertions: number;
}

/** What is known of a run beyond its columns; grows as the run goes on. */
export interface RunDetail {
  /** The command that asked for it; none where this host did by itself. */
  commandId?: string;
  /** The moment of the schedule that the daemon made it for, milliseconds since 1970. */
  dueAt?: number;
  /** Of a backup that is made, or restored. */
  backupId?: string;
  /** Of a backup that is made because its database is to be replaced. */
  safety?: true;
  sealed?: SealedBackup | undefined;
  copies?: (PlannedCopy | CopyOutcome)[];
  /** Database made by a restore that is not yet finished, dropped at the next start if it is still there. */
  scratchDatabase?: string;
  /** Its oid, which it keeps when it gets its final name; where one is taken back, of the database that gets the name. */
  scratchOid?: number;
  /** Role made for a restore by which SQL runs that nobody vouches for, with those whose names go on from it by a number. */
  untrustedRole?: string;
  inPlace?: InPlace;
  /** The transaction in which a live database gets tables of a backup, once it is about to commit: PostgreSQL's own number. */
  liveTransaction?: string;
  /** A hook that is under way, or was when its agent was killed, which it outlives; null where there is none. */
  hook?: RunOwner | null;
  drill?: DrillResult;
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
  tables?: number;
  /** Compared with the manifest's inventory. */
  objects?: number;
}

/** Of a run by which a backup comes into this host's care: it is made, or a dump that no agent made is taken in. */
export const backupKinds = ['backup', 'adopt'] as const;

/** Every execution of work on this host, and how it ended. */
export const runs = sqliteTable(
  'runs',
  {
    id: text('id').primaryKey(),
    kind: text('kind', { enum: [...backupKinds, 'restore', 'verify', 'drill'] }).notNull(),
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

export type Run = typeof runs.$inferSelect;

/** Whether a backup came into this host's care by the run. */
export function isOfBackup(kind: Run['kind']): boolean {
  return backupKinds.some((each) => each === kind);
}

/** A backup's manifest and what stands beside it, written before the stores commit: with them a killed backup can be finished. */
export const seals = sqliteTable('seals', {
  runId: text('run_id')
    .primaryKey()
    .references(() => runs.id, { onDelete: 'cascade' }),
  backupId: text('backup_id').notNull(),
  manifest: text('manifest').notNull(),
  manifestSha256: text('manifest_sha256').notNull(),
  privileges: blob('privileges', { mode: 'buffer' }),
  globals: blob('globals', { mode: 'buffer' }),
});

/** What backups are made of, for the next one of their database to be compared with: of the last good one, and of one under way. */
export const shapes = sqliteTable(
  'shapes',
  {
    runId: text('run_id')
      .primaryKey()
      .references(() => runs.id, { onDelete: 'cascade' }),
    databaseId: text('database_id').notNull(),
    /** JSON, gzipped. */
    shape: blob('shape', { mode: 'buffer' }).notNull(),
  },
  (table) => [index('shapes_by_database').on(table.databaseId)],
);

/** Databases that were found on a server whose entry in the host's file says `include: all`. */
export const foundDatabases = sqliteTable(
  'found_databases',
  {
    /** Name of the entry. */
    entry: text('entry').notNull(),
    name: text('name').notNull(),
    /** Milliseconds since 1970. */
    foundAt: integer('found_at').notNull(),
    /** Since when the server has it no more; null where it does. */
    goneAt: integer('gone_at'),
  },
  (table) => [primaryKey({ columns: [table.entry, table.name] })],
);

/** The journal itself; one row. */
export const journal = sqliteTable('journal', {
  row: integer('row').primaryKey(),
  /** Whose reports the control plane counts: a new one where this journal was set back. */
  journalId: text('journal_id').notNull(),
  /** Of the newest report that was ever written. */
  lastSeq: integer('last_seq').notNull(),
  /** The highest that ever left this host, written down before it does. */
  sentSeq: integer('sent_seq').notNull(),
  /** How it stands with the control plane, as the daemon saw it last. */
  link: text('link', { mode: 'json' }).$type<LinkState>(),
});

/** How it stands with the control plane. */
export interface LinkState {
  connected: boolean;
  /** Since when, milliseconds since 1970. */
  at: number;
  /** Why it is not connected. */
  code?: string;
  text?: string;
  /** The control plane's clock less this host's. */
  clockOffsetMs?: number;
}

/** What this host says happened: written with what it tells of, and delivered at least once. */
export const reports = sqliteTable(
  'reports',
  {
    reportId: text('report_id').primaryKey(),
    /** Place in the journal, from 1. */
    seq: integer('seq').notNull(),
    kind: text('kind').$type<ReportKind>().notNull(),
    /** Milliseconds since 1970, by this host's clock. */
    at: integer('at').notNull(),
    body: text('body', { mode: 'json' }).$type<Record<string, unknown>>().notNull(),
    /** Null while it waits to be delivered. */
    answeredAt: integer('answered_at'),
    answer: text('answer').$type<ReportAnswers['answers'][number]['answer']>(),
    /** Why it was rejected. */
    code: text('code'),
    reason: text('reason'),
  },
  (table) => [uniqueIndex('reports_by_seq').on(table.seq), index('reports_by_answer').on(table.answer, table.at)],
);

/** What reading a copy back has shown the last time. */
export const findings = sqliteTable(
  'findings',
  {
    storeId: text('store_id').notNull(),
    /** Of the dump, below the store's prefix. */
    key: text('key').notNull(),
    state: text('state').$type<ReportBodies['copy']['state']>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.storeId, table.key] })],
);

/** How each store differed from this journal when they were compared the last time. */
export const surveys = sqliteTable('surveys', {
  storeId: text('store_id').primaryKey(),
  lookedAt: integer('looked_at').notNull(),
  toldAt: integer('told_at').notNull(),
  items: text('items', { mode: 'json' }).$type<Drift[]>().notNull(),
  /** When the dumps that should stand there were written, by the store's clock, as it was seen first; by key. */
  dates: text('dates', { mode: 'json' }).$type<Record<string, number>>().notNull(),
});

/** What the control plane has asked of this host. An id that stands here is not done again. */
export const commands = sqliteTable(
  'commands',
  {
    id: text('id').primaryKey(),
    kind: text('kind').notNull(),
    databaseId: text('database_id').notNull(),
    /** The run that it asks for; its id is the control plane's. */
    runId: text('run_id'),
    body: text('body', { mode: 'json' }).$type<Record<string, unknown>>().notNull(),
    /** Both by the control plane's clock. */
    issuedAt: integer('issued_at').notNull(),
    expiresAt: integer('expires_at').notNull(),
    receivedAt: integer('received_at').notNull(),
    /** `delivered`: written down here. `acknowledged`: the control plane knows that, and it may be begun. */
    state: text('state').$type<CommandState>().notNull(),
    endedAt: integer('ended_at'),
    /** Why it was refused or has expired. */
    code: text('code'),
    reason: text('reason'),
  },
  (table) => [index('commands_by_state').on(table.state), index('commands_by_run').on(table.runId)],
);

/** A schedule that is followed, as far as it was seen to. */
export const schedules = sqliteTable('schedules', {
  /** Database, line and zone together: a line that is changed is another one. */
  id: text('id').primaryKey(),
  seenAt: integer('seen_at').notNull(),
  moments: text('moments', { mode: 'json' }).$type<number[]>().notNull(),
});

/** The policy of a database as the control plane keeps it. */
export const policies = sqliteTable('policies', {
  databaseId: text('database_id').primaryKey(),
  version: integer('version').notNull(),
  policy: text('policy', { mode: 'json' }).$type<PushedPolicy['policy']>().notNull(),
  pins: text('pins', { mode: 'json' }).$type<PushedPolicy['pins']>().notNull(),
});

/** What a schedule has done. */
export type DueKind = 'backup' | 'verify' | 'drill';

/** The run of each kind that is due of each database, and has not been made yet: a later moment takes the place of an earlier one. */
export const dueRuns = sqliteTable(
  'due_runs',
  {
    databaseId: text('database_id').notNull(),
    kind: text('kind').$type<DueKind>().notNull(),
    /** The moment that it is for, milliseconds since 1970. */
    dueAt: integer('due_at').notNull(),
    /** Of the attempt that is next, or under way. */
    runId: text('run_id').notNull(),
    /** From 1. */
    attempt: integer('attempt').notNull(),
    /** The attempt is not to begin before. */
    notBefore: integer('not_before').notNull(),
    /** Names of the stores that it is for; null: all. */
    stores: text('stores', { mode: 'json' }).$type<string[]>(),
  },
  (table) => [primaryKey({ columns: [table.databaseId, table.kind] })],
);
