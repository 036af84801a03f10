import type {
  BackupComparison,
  BackupState,
  CommandState,
  CopyState,
  DriftKind,
  Policy,
  RunState,
} from '@strideiq/core';
import type { DeclaredDatabase, DeclaredStore, RunReport } from '@strideiq/protocol';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';

/**
 * The catalog: what every agent did, and who asked for what. Moments are milliseconds since 1970: those named `…At` by
 * the control plane's own clock, those named `host…At` as a host said.
 */

/** One StrideIQ deployment; made by the first enrolment token for it. */
export const environments = sqliteTable('environments', {
  name: text('name').primaryKey(),
  createdAt: integer('created_at').notNull(),
});

/** A daemon on a database host. The same key enrolled again is the same agent. */
export const agents = sqliteTable(
  'agents',
  {
    id: text('id').primaryKey(),
    environment: text('environment')
      .notNull()
      .references(() => environments.name),
    hostname: text('hostname').notNull(),
    version: text('version').notNull(),
    /** Ed25519, SPKI, PEM; pinned at enrolment: manifests that it signed are this agent's. */
    publicKeyPem: text('public_key_pem').notNull(),
    /** SHA-256 of the credential, hex. Null once it is revoked. */
    credentialHash: text('credential_hash'),
    enrolledAt: integer('enrolled_at').notNull(),
    /** Transitions alone: while it is connected the memory knows better. */
    connectedAt: integer('connected_at'),
    lastSeenAt: integer('last_seen_at'),
    /** Of its last hello. */
    commandKinds: text('command_kinds', { mode: 'json' }).$type<string[]>().notNull(),
    reachableStoreIds: text('reachable_store_ids', { mode: 'json' }).$type<string[]>().notNull(),
  },
  (table) => [
    uniqueIndex('agents_by_key').on(table.environment, table.publicKeyPem),
    uniqueIndex('agents_by_credential').on(table.credentialHash),
  ],
);

/** One-time tokens, as SHA-256. */
export const enrolTokens = sqliteTable('enrol_tokens', {
  hash: text('hash').primaryKey(),
  environment: text('environment')
    .notNull()
    .references(() => environments.name),
  createdAt: integer('created_at').notNull(),
  expiresAt: integer('expires_at').notNull(),
  usedAt: integer('used_at'),
  /** The agent that took it. */
  agentId: text('agent_id'),
});

/** A database that an agent looks after; its id follows from environment and name (core's `databaseIdOf`). */
export const databases = sqliteTable(
  'databases',
  {
    id: text('id').primaryKey(),
    environment: text('environment')
      .notNull()
      .references(() => environments.name),
    name: text('name').notNull(),
    /** Whose reports about it are taken; moved only by an explicit, audited act. */
    agentId: text('agent_id')
      .notNull()
      .references(() => agents.id),
    /** Remote actions that the host allows, as it said last. */
    allow: text('allow', { mode: 'json' }).$type<string[]>().notNull(),
    /** What the host's file says of schedule and retention, as it said last: the seed of its first policy. */
    policy: text('policy', { mode: 'json' }).$type<DeclaredDatabase['policy']>().notNull(),
    /** Whether its server has it no more, as the agent said last. */
    gone: integer('gone', { mode: 'boolean' }).notNull().default(false),
    /** Version of the policy that the agent works by, as it said last; null: it works by its file. */
    runsPolicy: integer('runs_policy'),
    firstSeenAt: integer('first_seen_at').notNull(),
    /** Whether the host's file still names it. */
    declared: integer('declared', { mode: 'boolean' }).notNull(),
  },
  (table) => [
    uniqueIndex('databases_by_name').on(table.environment, table.name),
    index('databases_by_agent').on(table.agentId),
  ],
);

/** Every version of each database's policy; the newest is in force. */
export const policies = sqliteTable(
  'policies',
  {
    databaseId: text('database_id')
      .notNull()
      .references(() => databases.id),
    /** From 1; what a catalog that was set back has forgotten is left out. */
    version: integer('version').notNull(),
    policy: text('policy', { mode: 'json' }).$type<Policy>().notNull(),
    changedAt: integer('changed_at').notNull(),
    /** An API key's id, or `agent:ID` for what its host's file said. */
    changedBy: text('changed_by').notNull(),
  },
  (table) => [primaryKey({ columns: [table.databaseId, table.version] })],
);

/** A place where backups of one database are kept; the first database that claims it has it. */
export const stores = sqliteTable(
  'stores',
  {
    id: text('id').primaryKey(),
    databaseId: text('database_id')
      .notNull()
      .references(() => databases.id),
    /** As the host calls it. */
    name: text('name').notNull(),
    type: text('type', { enum: ['directory', 's3'] }).notNull(),
    location: text('location').notNull(),
    s3: text('s3', { mode: 'json' }).$type<NonNullable<DeclaredStore['s3']>>(),
    firstSeenAt: integer('first_seen_at').notNull(),
    declared: integer('declared', { mode: 'boolean' }).notNull(),
    /** When it was compared with the catalog the last time. */
    lookedAt: integer('looked_at'),
    /** Of a bucket: why nothing was removed from it the last time that it was looked after; null: nothing spoke against it. */
    retentionWaits: text('retention_waits'),
  },
  (table) => [index('stores_by_database').on(table.databaseId)],
);

/** One dump of one database at one moment. */
export const backups = sqliteTable(
  'backups',
  {
    id: text('id').primaryKey(),
    databaseId: text('database_id')
      .notNull()
      .references(() => databases.id),
    runId: text('run_id').notNull(),
    /** Who made it: whose key its manifest is signed with. */
    agentId: text('agent_id')
      .notNull()
      .references(() => agents.id),
    state: text('state').$type<BackupState>().notNull(),
    objectName: text('object_name').notNull(),
    bytes: integer('bytes').notNull(),
    rawBytes: integer('raw_bytes').notNull(),
    sha256: text('sha256').notNull(),
    manifestSha256: text('manifest_sha256').notNull(),
    rows: integer('rows').notNull(),
    tables: integer('tables').notNull(),
    hostSnapshotAt: integer('host_snapshot_at'),
    hostFinishedAt: integer('host_finished_at').notNull(),
    recordedAt: integer('recorded_at').notNull(),
    serverVersion: text('server_version').notNull(),
    pgDumpVersion: text('pg_dump_version').notNull(),
    databaseBytes: integer('database_bytes').notNull(),
    hasPrivileges: integer('has_privileges', { mode: 'boolean' }).notNull(),
    /** Made just before its database was to be replaced: it is nobody's latest. */
    safety: integer('safety', { mode: 'boolean' }).notNull().default(false),
    /** With the one before it, as its host compared them; null: it did not. */
    comparison: text('comparison', { mode: 'json' }).$type<BackupComparison>(),
  },
  (table) => [index('backups_by_database').on(table.databaseId, table.hostFinishedAt)],
);

/** A backup's object in one store. */
export const copies = sqliteTable(
  'copies',
  {
    backupId: text('backup_id')
      .notNull()
      .references(() => backups.id, { onDelete: 'cascade' }),
    storeId: text('store_id')
      .notNull()
      .references(() => stores.id),
    /** Of the dump, below the store's prefix. */
    key: text('key').notNull(),
    state: text('state').$type<CopyState>().notNull(),
    sizeBytes: integer('size_bytes'),
    verifiedAt: integer('verified_at'),
    errorCode: text('error_code'),
    error: text('error'),
    changedAt: integer('changed_at').notNull(),
    /** Of the dump, by the store's clock, as it was listed first; null where it was not since it was stored. */
    modifiedAt: integer('modified_at'),
    /** Since when it is in its state, as its host said; never later than we heard of it. */
    hostSince: integer('host_since'),
  },
  (table) => [primaryKey({ columns: [table.backupId, table.storeId] }), index('copies_by_store').on(table.storeId)],
);

/** How what a store holds differs from the catalog, as whoever looked there last has seen it. */
export const drift = sqliteTable(
  'drift',
  {
    storeId: text('store_id')
      .notNull()
      .references(() => stores.id),
    by: text('by', { enum: ['agent', 'controlPlane'] }).notNull(),
    kind: text('kind').$type<DriftKind>().notNull(),
    key: text('key').notNull(),
    text: text('text').notNull(),
    firstSeenAt: integer('first_seen_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.storeId, table.by, table.kind, table.key] })],
);

/** Backups that somebody wants kept, whatever the policy says. */
export const pins = sqliteTable('pins', {
  backupId: text('backup_id')
    .primaryKey()
    .references(() => backups.id, { onDelete: 'cascade' }),
  reason: text('reason').notNull(),
  /** Null: until it is taken off. */
  until: integer('until'),
  createdAt: integer('created_at').notNull(),
  /** An API key's id. */
  createdBy: text('created_by').notNull(),
});

/** One execution of work on an agent. */
export const runs = sqliteTable(
  'runs',
  {
    id: text('id').primaryKey(),
    kind: text('kind').notNull(),
    databaseId: text('database_id')
      .notNull()
      .references(() => databases.id),
    agentId: text('agent_id')
      .notNull()
      .references(() => agents.id),
    state: text('state').$type<RunState>().notNull(),
    /** The command that asked for it; none where the host did by itself. */
    commandId: text('command_id'),
    /** Who asked: an API key's id, or null for the host itself. */
    requestedBy: text('requested_by'),
    createdAt: integer('created_at').notNull(),
    hostStartedAt: integer('host_started_at'),
    hostFinishedAt: integer('host_finished_at'),
    endedAt: integer('ended_at'),
    errorCode: text('error_code'),
    error: text('error'),
    backupId: text('backup_id'),
    /** The last report's own words: warnings, what was restored, what a drill has shown. */
    outcome: text('outcome', { mode: 'json' }).$type<Pick<RunReport, 'warnings' | 'restore' | 'drill'>>(),
    /** What was asked for, for people: backup, target, database. */
    request: text('request', { mode: 'json' }).$type<Record<string, unknown>>(),
  },
  (table) => [
    index('runs_by_state').on(table.state, table.agentId),
    index('runs_by_database').on(table.databaseId, table.createdAt),
    index('runs_by_created').on(table.createdAt),
    index('runs_by_kind').on(table.kind, table.state, table.endedAt),
    index('runs_by_kind_of_database').on(table.databaseId, table.kind, table.endedAt),
  ],
);

/** What people read of a run, in order. */
export const runLog = sqliteTable(
  'run_log',
  {
    seq: integer('seq').primaryKey({ autoIncrement: true }),
    runId: text('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    hostAt: integer('host_at').notNull(),
    level: text('level', { enum: ['info', 'warn', 'error'] }).notNull(),
    text: text('text').notNull(),
  },
  (table) => [index('run_log_by_run').on(table.runId, table.seq)],
);

/** What the control plane asked of an agent. */
export const commands = sqliteTable(
  'commands',
  {
    id: text('id').primaryKey(),
    agentId: text('agent_id')
      .notNull()
      .references(() => agents.id),
    kind: text('kind').notNull(),
    databaseId: text('database_id')
      .notNull()
      .references(() => databases.id),
    runId: text('run_id'),
    state: text('state').$type<CommandState>().notNull(),
    /** As it is sent; holds no secret. */
    body: text('body', { mode: 'json' }).$type<Record<string, unknown>>().notNull(),
    issuedAt: integer('issued_at').notNull(),
    expiresAt: integer('expires_at').notNull(),
    deliveredAt: integer('delivered_at'),
    acknowledgedAt: integer('acknowledged_at'),
    endedAt: integer('ended_at'),
    reasonCode: text('reason_code'),
    reason: text('reason'),
  },
  (table) => [
    index('commands_by_agent').on(table.agentId, table.state),
    index('commands_by_state').on(table.state, table.expiresAt),
  ],
);

/** Every report, once. */
export const reports = sqliteTable(
  'reports',
  {
    /** Within an agent: another agent's ids are none of this one's business. */
    agentId: text('agent_id')
      .notNull()
      .references(() => agents.id),
    reportId: text('report_id').notNull(),
    journalId: text('journal_id').notNull(),
    seq: integer('seq').notNull(),
    kind: text('kind').notNull(),
    hostAt: integer('host_at').notNull(),
    receivedAt: integer('received_at').notNull(),
    answer: text('answer', { enum: ['accepted', 'rejected'] }).notNull(),
    /** Why it was rejected. */
    code: text('code'),
    reason: text('reason'),
    /** Kept of what was rejected, and of kinds that this version does not know. */
    body: text('body', { mode: 'json' }).$type<Record<string, unknown>>(),
  },
  (table) => [
    primaryKey({ columns: [table.agentId, table.reportId] }),
    index('reports_by_journal').on(table.agentId, table.journalId, table.seq),
    index('reports_by_answer').on(table.answer, table.receivedAt),
  ],
);

/** The high-water mark of each journal. */
export const journals = sqliteTable(
  'journals',
  {
    agentId: text('agent_id')
      .notNull()
      .references(() => agents.id),
    journalId: text('journal_id').notNull(),
    highWater: integer('high_water').notNull(),
  },
  (table) => [primaryKey({ columns: [table.agentId, table.journalId] })],
);

export * from './access-tables.ts';
export * from './alert-tables.ts';
