import { newId, paragraphOf, type SigningKey } from '@strideiq/core';
import type { BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import type { Journal } from '../journal/journal.ts';
import type { RunDetail } from '../journal/schema.ts';
import { applyOwnSettings, connect, type Connection } from '../postgres/connect.ts';
import { describeServer, withDatabase, type Endpoint } from '../postgres/endpoint.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { compareObjects, compareRows, type ComparedTable } from './compare.ts';
import { loadDump } from './load-dump.ts';
import { checkTarget, createClosedDatabase, type TargetServer } from './target.ts';
import { checkTrust, judgeTrust, type Trust } from './trust.ts';

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
export async function runRestore(request: RestoreRequest, deps: RestoreDependencies): Promise<RestoreOutcome> {
  const { environment, database, databaseId, source, reference, into } = request;
  const trust = judgeTrust(source, deps.key, deps.journal);
  const runId = newId(deps.now());
  const scratchDatabase = `strideiq_restore_${runId.replaceAll('-', '')}`;
  const maintenance = await connect(request.maintenance, { applicationName: `strideiq-restore-${runId.slice(-12)}` });
  try {
    const server = await checkTarget(maintenance, into, trust.manifest);
    checkTrust(trust, server.superuser, request.trustSource, source.dumpKey);
    const detail = { source: reference, into, scratchDatabase, server: describeServer(request.maintenance) };
    return await deps.journal.record(
      { id: runId, kind: 'restore', environment, database, databaseId, detail },
      async () => {
        const result = await restoreInto({ request, deps, trust, server, maintenance, scratchDatabase, runId });
        const rows = result.tables.reduce((sum, table) => sum + table.found, 0);
        return { result, detail: { rows, warnings: result.notes } };
      },
      async () => dropScratch(maintenance, scratchDatabase, deps.now),
    );
  } finally {
    await maintenance.end();
  }
}

interface Work {
  request: RestoreRequest;
  deps: RestoreDependencies;
  trust: Trust;
  server: TargetServer;
  maintenance: Connection;
  scratchDatabase: string;
  runId: string;
}

async function restoreInto(work: Work): Promise<RestoreOutcome> {
  const { request, deps, trust, maintenance, scratchDatabase, runId } = work;
  const { manifest } = trust;
  const { source, into } = request;
  deps.progress({ phase: 'preparing' });
  const scratchOid = await createClosedDatabase(maintenance, scratchDatabase, manifest, work.server);
  deps.journal.describe(runId, { scratchOid });
  const connection = await connect(withDatabase(request.maintenance, scratchDatabase), {
    applicationName: `strideiq-restore-${runId.slice(-12)}`,
  });
  // An interrupt must reach a statement that runs for an hour: its connection is cut, and the server ends it.
  const cut = () => void connection.end();
  deps.signal.addEventListener('abort', cut, { once: true });
  try {
    const loaded = await loadDump(source, connection, { manifest, progress: deps.progress, signal: deps.signal });
    await connection.query('RESET ALL');
    await applyOwnSettings(connection);
    const tables = await compareRows(connection, manifest?.tables ?? loaded.tables, loaded.tables, deps.progress);
    const objects = manifest ? await compareObjects(connection, manifest) : 0;
    deps.progress({ phase: 'analyzing' });
    await connection.query('ANALYZE');
    await connection.end();
    deps.signal.throwIfAborted();
    await openUnder(maintenance, scratchDatabase, into);
    return {
      runId,
      into,
      backupId: manifest?.backupId,
      tables,
      objects,
      privileges: manifest?.privileges?.name,
      notes: [...trustNotes(trust), ...loaded.notes],
    };
  } catch (error) {
    throw deps.signal.aborted ? deps.signal.reason : error;
  } finally {
    deps.signal.removeEventListener('abort', cut);
    await connection.end().catch(() => undefined);
  }
}

function trustNotes(trust: Trust): string[] {
  return trust.trusted
    ? []
    : [`The source was not trusted (${trust.because}), and was loaded all the same, as allowed.`];
}

/** From here on it is the database that was asked for. One transaction cannot hold a rename and a grant's loss apart. */
async function openUnder(maintenance: Connection, scratch: string, into: string): Promise<void> {
  await maintenance.query('BEGIN');
  try {
    await maintenance.query(`ALTER DATABASE ${quoteIdentifier(scratch)} RENAME TO ${quoteIdentifier(into)}`);
    await maintenance.query(`GRANT CONNECT, TEMPORARY ON DATABASE ${quoteIdentifier(into)} TO PUBLIC`);
    await maintenance.query('COMMIT');
  } catch (cause) {
    await maintenance.query('ROLLBACK');
    throw new AgentError(
      'RestoreFailed',
      `The restored database could not be renamed to ${JSON.stringify(into)}: ${(cause as Error).message}.`,
      'It was dropped. If somebody made a database of that name meanwhile, restore into another one.',
      { cause },
    );
  }
}

/** What cannot be dropped now is said, stands in the journal, and is dropped at the next start. */
async function dropScratch(maintenance: Connection, name: string, now: () => number): Promise<RunDetail> {
  try {
    await maintenance.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
    return { clearedAt: now() };
  } catch (error) {
    return { warnings: [`The half-restored database ${name} could not be dropped: ${paragraphOf(error)}`] };
  }
}
