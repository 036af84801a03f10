import { newId, paragraphOf, type SigningKey } from '@strideiq/core';
import type { BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import type { Asked, Journal } from '../journal/journal.ts';
import { loggingPhases } from '../journal/run-log.ts';
import type { RunDetail } from '../journal/schema.ts';
import { connect, endConnection, type Connection } from '../postgres/connect.ts';
import { describeServer, withDatabase, type Endpoint } from '../postgres/endpoint.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { analyze } from './analyze.ts';
import { checkWhole } from './check-whole.ts';
import { compareObjects, compareRows, type ComparedTable } from './compare.ts';
import { jobsByThemselves } from './jobs.ts';
import { loadDump } from './load-dump.ts';
import { Privileges } from './privileges.ts';
import { Scratch } from './scratch.ts';
import { comparedTables, selectFrom, type Selection, type Wanted } from './selection.ts';
import { setSequencesOf } from './sequence-values.ts';
import { checkTarget, createClosedDatabase, type TargetServer } from './target.ts';
import { checkTrust, judgeTrust, type GivenTrust, type Trust } from './trust.ts';

export interface RestoreRequest {
  environment: string;
  database: string;
  databaseId: string;
  source: BackupSource;
  /** REF as it was asked for. */
  reference: string;
  /** A maintenance database of the target server. */
  maintenance: Endpoint;
  /** Name of the new database. */
  into: string;
  trustSource: boolean;
  /** A part of the backup; left out: all of it. */
  wanted?: Wanted | undefined;
  /** Sessions that load at the same time; left out: as many as the machine has processors, 2 to 8. */
  jobs?: number | undefined;
  /** Gathers the planner's statistics at the end: true. Whoever drops the database soon needs none. */
  analyze?: boolean | undefined;
  /** Of values that are stored out of line, where they are not to be stored as the server does by itself. */
  toastCompression?: string | undefined;
  /** What whoever asks knows of the manifest; where it is given, no other is taken. */
  trust?: GivenTrust | undefined;
  /** What is to be said of this restore in any case. */
  notes?: readonly string[];
  /** Left out: this host asks for it itself. */
  asked?: Asked;
}

export interface RestoreDependencies {
  journal: Journal;
  key: SigningKey;
  now: () => number;
  progress: ReportProgress;
  signal: AbortSignal;
}

export interface RestoreOutcome {
  runId: string;
  into: string;
  backupId: string | undefined;
  tables: ComparedTable[];
  /** Objects compared with the manifest's inventory; 0 without a manifest. */
  objects: number;
  /** The object beside the backup that holds owners and grants. */
  privileges: string | undefined;
  notes: string[];
}

/**
 * Restores into a new database. It bears another name until rows and objects were compared: under the name that was
 * asked for there is a proven database or none.
 * @throws AgentError; no database of this run is left then
 */
export async function runRestore(request: RestoreRequest, dependencies: RestoreDependencies): Promise<RestoreOutcome> {
  const { environment, database, databaseId, source, reference, into, asked } = request;
  const { journal, now } = dependencies;
  const runId = asked?.runId ?? newId(now());
  const deps = { ...dependencies, progress: loggingPhases(journal, runId, dependencies.progress) };
  const backupId = source.found?.manifest.backupId;
  const detail = {
    source: reference,
    into,
    ...(backupId === undefined ? {} : { backupId }),
    ...(asked ? { commandId: asked.commandId } : {}),
  };
  let scratchDatabase: string | undefined;
  return journal.record(
    { id: runId, kind: 'restore', environment, database, databaseId, detail },
    async () => {
      const { trust, server, selection } = await checkFirst(request, deps, runId);
      scratchDatabase = `strideiq_restore_${runId.replaceAll('-', '')}`;
      journal.describe(runId, { scratchDatabase, server: describeServer(request.maintenance) });
      const result = await restoreInto({ request, deps, trust, server, selection, scratchDatabase, runId });
      return { result, detail: outcomeOf(result) };
    },
    async () => (scratchDatabase === undefined ? {} : dropScratch(request, runId, scratchDatabase, now)),
  );
}

/** Everything that can be known before anything is made. */
async function checkFirst(
  request: RestoreRequest,
  deps: RestoreDependencies,
  runId: string,
): Promise<Pick<Work, 'trust' | 'server' | 'selection'>> {
  const { source, into, trustSource } = request;
  const trust = judgeTrust(source, deps.key, deps.journal, request.trust);
  const selection = request.wanted && trust.manifest && selectFrom(trust.manifest, request.wanted);
  const server = await onMaintenance(request, runId, async (maintenance) => {
    const found = await checkTarget(maintenance, into, trust.manifest);
    checkTrust(trust, found.superuser, trustSource, source.dumpKey);
    return found;
  });
  if (!trust.manifest) {
    const { key, journal, progress, signal } = deps;
    await checkWhole(source, { key, journal, progress, signal });
  }
  deps.signal.throwIfAborted();
  return { trust, server, selection };
}

/** What the journal is to know of a restore that went well. */
function outcomeOf({ tables, objects, notes }: Pick<RestoreOutcome, 'tables' | 'objects' | 'notes'>): RunDetail {
  const rows = tables.reduce((sum, table) => sum + table.found, 0);
  return { rows, tables: tables.length, objects, warnings: notes };
}

/** Short work on a connection of its own: one that idles through an hour of loading is cut by somebody's time limit. */
async function onMaintenance<T>(
  { maintenance }: RestoreRequest,
  runId: string,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await connect(maintenance, { applicationName: applicationName(runId) });
  try {
    return await work(connection);
  } finally {
    await endConnection(connection);
  }
}

function applicationName(runId: string): string {
  return `strideiq-restore-${runId.slice(-12)}`;
}

interface Work {
  request: RestoreRequest;
  deps: RestoreDependencies;
  trust: Trust;
  server: TargetServer;
  selection: Selection | undefined;
  scratchDatabase: string;
  runId: string;
}

async function restoreInto(work: Work): Promise<RestoreOutcome> {
  const { request, deps, trust, server, selection, scratchDatabase, runId } = work;
  const { manifest } = trust;
  const { source, into } = request;
  deps.progress({ phase: 'preparing' });
  const privileges = manifest?.privileges ? await Privileges.read(source, manifest.privileges) : undefined;
  const scratchOid = await onMaintenance(request, runId, async (maintenance) =>
    createClosedDatabase(maintenance, scratchDatabase, manifest, server),
  );
  deps.journal.describe(runId, { scratchOid });
  const { progress, signal } = deps;
  const jobs = request.jobs ?? jobsByThemselves();
  const analyzes = request.analyze ?? true;
  const scratch = new Scratch(withDatabase(request.maintenance, scratchDatabase), applicationName(runId), signal);
  const loaded = await loadDump(source, {
    manifest,
    connect: async () => scratch.connect(),
    jobs,
    toastCompression: request.toastCompression,
    selection,
    wanted: request.wanted,
    analyze: analyzes,
    progress,
    signal,
    // Only a superuser still owns what it has given away.
    afterPreData: server.superuser && privileges ? async (first) => privileges.applyOwners(first) : undefined,
  });
  // On connections that have seen nothing of the dump: no open transaction, temporary table or role of its making.
  const notes: string[] = [];
  const { tables, objects } = await scratch.on(jobs, async (connections) => {
    const [connection] = connections;
    const part = manifest && selection ? { selection, sequences: manifest.sequences } : loaded.part;
    if (part?.selection.tables) await setSequencesOf(connection, part.selection.tables, part.sequences);
    const expected = comparedTables(selection, manifest) ?? loaded.tables;
    const compared = await compareRows(connections, expected, loaded.tables, progress, notes);
    const count = manifest ? await compareObjects(connection, manifest, selection) : 0;
    if (analyzes) {
      progress({ phase: 'analyzing' });
      await analyze(connections, loaded.analyzed);
    }
    await privileges?.apply(connection);
    return { tables: compared, objects: count };
  });
  deps.signal.throwIfAborted();
  const said = [...(request.notes ?? []), ...trustNotes(trust), ...loaded.notes, ...notes];
  // Before the last step, so that a restore that is killed just after it tells the same.
  deps.journal.describe(runId, outcomeOf({ tables, objects, notes: said }));
  await openUnder(work, scratchOid, privileges);
  return {
    runId,
    into,
    backupId: manifest?.backupId,
    tables,
    objects,
    privileges: manifest?.privileges?.name,
    notes: [...said, ...privilegeNotes(work, privileges)],
  };
}

function privilegeNotes({ trust, request }: Work, privileges: Privileges | undefined): string[] {
  if (privileges) return privileges.notes;
  if (!trust.manifest) return [];
  return [
    `The backup holds no owners and grants, so nobody but superusers may connect to ${request.into}: GRANT CONNECT ON DATABASE … TO … lets them in.`,
  ];
}

function trustNotes(trust: Trust): string[] {
  return trust.trusted
    ? []
    : [`The source was not trusted (${trust.because}), and was loaded all the same, as allowed.`];
}

/**
 * From here on it is the database that was asked for. One transaction: under its name it is open to whom its source was
 * open, or it does not bear the name.
 */
async function openUnder(work: Work, oid: number, privileges: Privileges | undefined): Promise<void> {
  const { request, runId, trust, scratchDatabase } = work;
  const { into } = request;
  try {
    await onMaintenance(request, runId, async (maintenance) => {
      await privileges?.applyToDatabase(maintenance, scratchDatabase);
      await maintenance.query('BEGIN');
      await maintenance.query(`ALTER DATABASE ${quoteIdentifier(scratchDatabase)} RENAME TO ${quoteIdentifier(into)}`);
      if (privileges ? privileges.opensToPublic : !trust.manifest) {
        await maintenance.query(`GRANT CONNECT, TEMPORARY ON DATABASE ${quoteIdentifier(into)} TO PUBLIC`);
      }
      await maintenance.query('COMMIT');
    });
  } catch (cause) {
    if (await bearsName(work, oid)) return;
    throw new AgentError(
      'RestoreFailed',
      `The restored database could not be renamed to ${JSON.stringify(into)}: ${(cause as Error).message}.`,
      'It was dropped. If somebody made a database of that name meanwhile, restore into another one.',
      { cause },
    );
  }
}

/** Whether the rename took place though its answer was lost. */
async function bearsName({ request, runId }: Work, oid: number): Promise<boolean> {
  return onMaintenance(request, runId, async (maintenance) => {
    const { rows } = await maintenance.query('SELECT FROM pg_database WHERE oid = $1 AND datname = $2', [
      oid,
      request.into,
    ]);
    return rows.length > 0;
  });
}

/** What cannot be dropped now is said, stands in the journal, and is dropped at the next start. */
async function dropScratch(
  request: RestoreRequest,
  runId: string,
  name: string,
  now: () => number,
): Promise<RunDetail> {
  try {
    await onMaintenance(request, runId, async (maintenance) => {
      await maintenance.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
    });
    return { clearedAt: now() };
  } catch (error) {
    return { warnings: [`The half-restored database ${name} could not be dropped: ${paragraphOf(error)}`] };
  }
}
