import { log } from '../journal/run-log.ts';
import { withDatabase } from '../postgres/endpoint.ts';
import { afterRestore } from './after-restore.ts';
import { analyze } from './analyze.ts';
import type { Checked } from './check-first.ts';
import { compareObjects, compareRows, type ComparedTable } from './compare.ts';
import { jobsByThemselves } from './jobs.ts';
import { isOfCron, type About } from './left-out.ts';
import { loadDump } from './load-dump.ts';
import { applicationNameOf, onMaintenance } from './maintenance-session.ts';
import type { Privileges } from './privileges.ts';
import type { RestoreDependencies, RestoreRequest } from './restore-request.ts';
import { Scratch } from './scratch.ts';
import { comparedTables } from './selection.ts';
import { setSequencesOf } from './sequence-values.ts';
import { createClosedDatabase, type TargetServer } from './target.ts';
import type { Trust } from './trust.ts';

/** A database to be made and filled, under a name that nobody asks for. */
export interface Filling extends Checked<TargetServer> {
  request: RestoreRequest;
  deps: RestoreDependencies;
  runId: string;
  scratchDatabase: string;
  /** Of CREATE DATABASE: encoding, locale … */
  createOptions: string;
  /** Owners and grants that it is to have. */
  privileges: Privileges | undefined;
  /** It will be dropped again: pg_cron, which could not be made there, is left out. */
  onlyLookedAt?: boolean;
}

/** The database, proven: its rows and objects are the backup's. */
export interface Filled {
  /** Of the database, which it keeps under whichever name. */
  oid: number;
  tables: ComparedTable[];
  objects: number;
  notes: string[];
}

/**
 * Makes a new database that nobody else may enter, loads the dump, and compares rows and objects; then the host's own
 * `afterRestore`, statistics, owners and grants. What is left to do is to give it the name it is for.
 */
export async function fillScratch(work: Filling): Promise<Filled> {
  const { request, deps, trust, server, selection, scratchDatabase, runId, privileges, createOptions } = work;
  const { source, maintenance, hooks, database } = request;
  const { manifest } = trust;
  const { progress, signal, journal } = deps;
  const { onlyLookedAt = false } = work;
  const analyzes = request.analyze ?? true;
  const changesRows = hooks !== undefined && (hooks.afterRestore.length > 0 || hooks.afterRestoreSql !== undefined);
  progress({ phase: 'preparing' });
  const oid = await onMaintenance(maintenance, runId, async (connection) => {
    const lacks = (await privileges?.missingRoles(connection)) ?? [];
    // Before the hours that loading may take.
    if (lacks.length > 0) log(journal, runId, 'warn', rolesMissing(lacks));
    return createClosedDatabase(connection, scratchDatabase, createOptions);
  });
  journal.describe(runId, { scratchOid: oid });
  const jobs = request.jobs ?? jobsByThemselves();
  const endpoint = withDatabase(maintenance, scratchDatabase);
  const scratch = new Scratch(endpoint, applicationNameOf(runId), signal);
  const loaded = await loadDump(source, {
    manifest,
    connect: async () => scratch.connect(),
    jobs,
    toastCompression: request.toastCompression,
    selection,
    wanted: request.wanted,
    onlyLookedAt,
    // Of rows that are changed before anyone sees them the statistics come after that.
    analyze: analyzes && !changesRows,
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
    const isThere = (about: About) => !onlyLookedAt || !manifest || !isOfCron(about, manifest);
    const expected = (comparedTables(selection, manifest) ?? loaded.tables).filter((table) => isThere({ table }));
    const compared = await compareRows(connections, expected, loaded.tables, progress, notes);
    const count = manifest ? await compareObjects(connection, manifest, selection, isThere) : 0;
    return { tables: compared, objects: count };
  });
  if (hooks) {
    const { backupId } = manifest ?? {};
    await onMaintenance(maintenance, runId, async (connection) =>
      privileges?.applySearchPath(connection, scratchDatabase),
    );
    await scratch.on(1, async ([connection]) =>
      afterRestore({ hooks, endpoint, connection, runId, database, backupId, journal, signal }),
    );
  }
  await scratch.on(jobs, async (connections) => {
    if (analyzes) {
      progress({ phase: 'analyzing' });
      await analyze(connections, loaded.analyzed);
    }
    await privileges?.apply(connections[0]);
  });
  signal.throwIfAborted();
  return { oid, tables, objects, notes: [...trustNotes(trust), ...loaded.notes, ...notes] };
}

export function rolesMissing(roles: readonly string[]): string {
  return `This server has no role ${roles.join(', ')}: what they own is the restoring role’s here, and their rights are left out.`;
}

function trustNotes(trust: Trust): string[] {
  return trust.trusted
    ? []
    : [`The source was not trusted (${trust.because}), and was loaded all the same, as allowed.`];
}
