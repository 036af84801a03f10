import type { Manifest } from '@strideiq/core';
import type { RelationName } from '@strideiq/dump';
import type { BackupOutcome } from '../backup/backup-request.ts';
import { AgentError } from '../errors.ts';
import { log } from '../journal/run-log.ts';
import { connect, endConnection, type Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { checkFirst } from '../restore/check-first.ts';
import { dropScratch } from '../restore/drop-scratch.ts';
import { fillScratch } from '../restore/fill-scratch.ts';
import { applicationNameOf } from '../restore/maintenance-session.ts';
import type { RestoreDependencies, RestoreRequest } from '../restore/restore-request.ts';
import { restoreRunOf } from '../restore/restore-run.ts';
import { scratchNameOf } from '../restore/run-restore.ts';
import { withoutCron } from '../restore/left-out.ts';
import { checkServer, localeOptions } from '../restore/target.ts';
import { alike } from './copy-rows.ts';
import { readTables, type LiveTable } from './live-tables.ts';
import { commitNoted } from './live-transaction.ts';
import { checkReplaceable, fetchRows, replaceRows, type ReplacedRows } from './replace-rows.ts';
import { fillSideSchema, type SideTable } from './side-schema.ts';

export interface IntoLiveRequest extends RestoreRequest {
  /** The live database. */
  live: Endpoint;
  wanted: { tables: readonly string[]; postData: false };
  /** A new schema that the tables are put into; left out: the rows of the live tables are replaced. */
  schema?: string | undefined;
  /** Backs the database up before its rows are replaced; left out where whoever asks has refused it by name. */
  safetyBackup?: (() => Promise<BackupOutcome>) | undefined;
}

export interface IntoLiveOutcome {
  runId: string;
  /** The live database. */
  into: string;
  backupId: string;
  /** In a schema of their own, or in their place. */
  tables: (SideTable | ReplacedRows)[];
  safetyBackupId: string | undefined;
  notes: string[];
}

/**
 * Brings tables of a backup into a live database: beside what is there, in a schema of their own, or in the place of its
 * rows. They are restored into a scratch database first and compared as ever; what the live database then sees is one
 * transaction.
 * @throws AgentError: the live database is as it was
 */
export async function runIntoLive(
  request: IntoLiveRequest,
  dependencies: RestoreDependencies,
): Promise<IntoLiveOutcome> {
  const { maintenance, live } = request;
  const { run, deps } = restoreRunOf(request, dependencies, { kind: 'restore', into: live.database });
  const { journal, now } = deps;
  const runId = run.id;
  const scratchDatabase = scratchNameOf(runId);
  const drop = async () => dropScratch(maintenance, runId, scratchDatabase, now);
  return journal.record(
    run,
    async () => {
      const result = await bringIn(request, deps, runId, scratchDatabase);
      const dropped = await drop();
      const notes = [...result.notes, ...(dropped.warnings ?? [])];
      const rows = result.tables.reduce((sum, table) => sum + table.rows, 0);
      return {
        result: { ...result, notes },
        detail: { ...dropped, rows, tables: result.tables.length, warnings: notes },
      };
    },
    async () => (journal.get(runId)?.detail.scratchDatabase === undefined ? {} : drop()),
  );
}

async function bringIn(
  request: IntoLiveRequest,
  deps: RestoreDependencies,
  runId: string,
  scratchDatabase: string,
): Promise<IntoLiveOutcome> {
  const { live, source, schema } = request;
  const { journal, signal } = deps;
  const checked = await checkFirst(request, deps, runId, async (connection, its) =>
    checkServer(connection, withoutCron(its)),
  );
  const { manifest } = checked.trust;
  const { selection } = checked;
  if (!manifest || !selection) throw withoutManifest(source.dumpKey);
  checkUnmasked(request, manifest);
  const tables = selection.asked;
  const [none] = selection.withoutRows;
  if (none) throw withoutRows(source.dumpKey, none);
  await onLive(live, runId, signal, async (connection) => {
    if (schema === undefined) await checkAll(connection, tables, checked.server.user);
    else await checkSchema(connection, schema);
  });
  journal.describe(runId, { scratchDatabase });
  const filled = await fillScratch({
    ...checked,
    request: { ...request, hooks: undefined, analyze: false },
    deps,
    runId,
    scratchDatabase,
    createOptions: localeOptions(manifest.source, checked.server),
    privileges: undefined,
    onlyLookedAt: true,
  });
  let safety: Safety = { backupId: undefined, notes: [] };
  const brought = await filled.scratch.on(1, async ([restored]) =>
    onLive(live, runId, signal, async (connection, uncut) => {
      const found = await allOf(restored, tables);
      await alike([restored, connection]);
      const made = await write({ connection, restored, found, user: checked.server.user }, request, deps, async () => {
        safety = await backUp(request, deps, runId);
      });
      signal.throwIfAborted();
      // A commit that is interrupted is none that anybody can tell of.
      uncut();
      await commitNoted(connection, { endpoint: live, journal, runId });
      return made;
    }),
  );
  return {
    runId,
    into: live.database,
    backupId: manifest.backupId,
    tables: brought,
    safetyBackupId: safety.backupId,
    notes: [...safety.notes, ...filled.notes],
  };
}

/** Writes the tables; the transaction is left open. */
async function write(
  {
    connection,
    restored,
    found,
    user,
  }: { connection: Connection; restored: Connection; found: LiveTable[]; user: string },
  { schema }: IntoLiveRequest,
  { progress }: RestoreDependencies,
  backUpFirst: () => Promise<void>,
): Promise<(SideTable | ReplacedRows)[]> {
  // Where this machine vanishes, the locks are not to stay for the two hours that TCP would wait.
  await connection.query(
    'SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3',
  );
  const begin = 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = on';
  if (schema !== undefined) {
    await connection.query(begin);
    return fillSideSchema(connection, restored, schema, found, progress);
  }
  const fetched = await fetchRows(connection, restored, found, progress);
  // As late as can be: what is written after it is in no backup.
  await backUpFirst();
  await connection.query(begin);
  return replaceRows(connection, fetched, { user, progress });
}

async function allOf(restored: Connection, tables: readonly RelationName[]): Promise<LiveTable[]> {
  const found = await readTables(restored, tables);
  return tables.map(({ schema, name }, at) => {
    const table = found[at];
    if (table) return table;
    throw new Error(`the restored database has no table ${schema}.${name}`);
  });
}

async function checkAll(connection: Connection, tables: readonly RelationName[], user: string): Promise<void> {
  const found = await readTables(connection, tables);
  for (const [at, { schema, name }] of tables.entries()) checkReplaceable(`${schema}.${name}`, found[at], user);
  await checkMay(connection, 'TEMPORARY', user);
}

async function checkSchema(connection: Connection, schema: string): Promise<void> {
  if (schema === '' || Buffer.byteLength(schema) > 63) {
    throw new AgentError(
      'TargetInvalid',
      `A schema cannot be called ${JSON.stringify(schema)}.`,
      'Choose a name of 1 to 63 bytes.',
    );
  }
  const { rows } = await connection.query<{ user: string; taken: boolean }>(
    'SELECT current_user::text AS user, EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS taken',
    [schema],
  );
  if (rows[0]?.taken === true) {
    throw new AgentError(
      'TargetExists',
      `There is already a schema ${JSON.stringify(schema)}; a restore never writes into one.`,
      'Choose another name with --into-schema, or drop it first if nobody needs it.',
    );
  }
  await checkMay(connection, 'CREATE', rows[0]?.user ?? '');
}

/** @throws AgentError `PrivilegeMissing` */
async function checkMay(connection: Connection, right: 'CREATE' | 'TEMPORARY', user: string): Promise<void> {
  const { rows } = await connection.query<{ may: boolean; database: string }>(
    'SELECT has_database_privilege(current_database(), $1) AS may, current_database()::text AS database',
    [right],
  );
  const { may = false, database = '' } = rows[0] ?? {};
  if (may) return;
  throw new AgentError(
    'PrivilegeMissing',
    `The role ${user} may not make ${right === 'CREATE' ? 'schemas' : 'temporary tables'} in ${database}.`,
    `As a superuser run: GRANT ${right} ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(user)};`,
  );
}

/** The backup that was made before, and what there is to tell of it. */
interface Safety {
  backupId: string | undefined;
  notes: string[];
}

async function backUp(
  { safetyBackup, schema }: IntoLiveRequest,
  { journal }: RestoreDependencies,
  runId: string,
): Promise<Safety> {
  if (schema !== undefined) return { backupId: undefined, notes: [] };
  if (!safetyBackup) return { backupId: undefined, notes: ['No backup of the database was made before.'] };
  log(journal, runId, 'info', 'Backing up the database whose rows are to be replaced');
  const { backupId, copies, manifest } = await safetyBackup();
  const failed = copies.filter(({ state }) => state === 'failed');
  const notes = [
    `What was written to these tables between ${manifest.snapshot.takenAt}, the moment of that backup, and the replacement is in no backup.`,
    ...failed.map(({ store, error }) => `The safety backup has no copy in ${store}: ${error}`),
  ];
  return { backupId, notes };
}

/**
 * Work on the live database, cut by an interrupt: what was not committed is then as if it had never been.
 * @param work gets what takes that off
 */
async function onLive<T>(
  endpoint: Endpoint,
  runId: string,
  signal: AbortSignal,
  work: (connection: Connection, uncut: () => void) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const connection = await connect(endpoint, { applicationName: applicationNameOf(runId) });
  let isCut = false;
  const cut = () => {
    isCut = true;
    void endConnection(connection, 0);
  };
  const uncut = () => signal.removeEventListener('abort', cut);
  signal.addEventListener('abort', cut, { once: true });
  try {
    signal.throwIfAborted();
    return await work(connection, uncut);
  } catch (error) {
    throw isCut ? signal.reason : error;
  } finally {
    uncut();
    await endConnection(connection);
  }
}

/**
 * What a host masks by its own hooks is not brought to people by another way.
 * @throws AgentError `UsageInvalid`
 */
function checkUnmasked({ hooks, databaseId }: IntoLiveRequest, manifest: Manifest): void {
  const changes = hooks !== undefined && (hooks.afterRestore.length > 0 || hooks.afterRestoreSql !== undefined);
  if (!changes || manifest.databaseId === databaseId) return;
  throw new AgentError(
    'UsageInvalid',
    `The backup is of ${manifest.database} of environment ${manifest.environment}, whose rows hooks.afterRestore of this host changes before anybody sees them, and single tables come as they are.`,
    'Restore it into a new database with --into, where the hooks are run, and take the rows from that.',
  );
}

function withoutManifest(dumpKey: string): AgentError {
  return new AgentError(
    'SourceUntrusted',
    `${dumpKey} has no manifest that could be read, and what goes into a live database has to be compared with one.`,
    'Restore it into a new database with --into, look at it, and take from it what is needed.',
  );
}

function withoutRows(dumpKey: string, { schema, name }: RelationName): AgentError {
  return new AgentError(
    'TableNotFound',
    `${dumpKey} holds no rows of ${schema}.${name}: they were left out of it, or stand on another server.`,
    'Take a backup that has them; `strideiq-agent show REF` lists the tables whose rows it holds.',
  );
}
