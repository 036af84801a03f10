import type { HooksConfiguration } from '../configuration/index.ts';
import { log } from '../journal/run-log.ts';
import { withDatabase } from '../postgres/endpoint.ts';
import { afterRestore } from './after-restore.ts';
import { analyze } from './analyze.ts';
import type { Checked } from './check-first.ts';
import { compareObjects, compareRows, type ComparedTable } from './compare.ts';
import { jobsByThemselves } from './jobs.ts';
import { isOfCron, type About } from './left-out.ts';
import { loadDump } from './load-dump.ts';
import { handOver } from './hand-over.ts';
import { applicationNameOf, onMaintenance } from './maintenance-session.ts';
import type { Privileges } from './privileges.ts';
import type { RestoreDependencies, RestoreRequest } from './restore-request.ts';
import { Scratch } from './scratch.ts';
import { comparedTables } from './selection.ts';
import { setSequencesOf } from './sequence-values.ts';
import { createClosedDatabase, type TargetServer } from './target.ts';
import type { Trust } from './trust.ts';
import { UntrustedRole, untrustedRoleOf } from './untrusted-role.ts';

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
  /** They are this server's own, and not the source's. */
  privilegesOfServer?: boolean;
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
  /** For whoever looks at it further: by the role that may run what it holds. */
  scratch: Scratch;
  /** Whether what concerns the database itself was applied with the other privileges. */
  databaseApplied: boolean;
  /** Functions of the dump that run with a superuser's rights now, whoever calls them. */
  definers: string[];
}

/**
 * Makes a new database that nobody else may enter, loads the dump, and compares rows and objects; then the host's own
 * `afterRestore`, statistics, owners and grants. What is left to do is to give it the name it is for.
 */
export async function fillScratch(work: Filling): Promise<Filled> {
  const { request, deps, trust, server, selection, privileges } = work;
  const { source, hooks } = request;
  const { manifest } = trust;
  const { progress, signal } = deps;
  const { onlyLookedAt = false } = work;
  const analyzes = request.analyze ?? true;
  const changesRows = hooks !== undefined && (hooks.afterRestore.length > 0 || hooks.afterRestoreSql !== undefined);
  progress({ phase: 'preparing' });
  const { oid, role, scratch, jobs } = await makeScratch(work);
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
    role,
    progress,
    signal,
    // Only a superuser still owns what it has given away.
    afterPreData: server.superuser && !role && privileges ? async (first) => privileges.applyOwners(first) : undefined,
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
  if (hooks) await runHooks(work, hooks, { scratch, role });
  if (analyzes) {
    progress({ phase: 'analyzing' });
    await scratch.on(jobs, async (connections) => analyze(connections, loaded.analyzed));
  }
  const definers = await applyPrivileges(work, { scratch, role });
  signal.throwIfAborted();
  const said = [...trustNotes(trust, role !== undefined && !onlyLookedAt), ...loaded.notes, ...notes];
  return { oid, tables, objects, notes: said, scratch, databaseApplied: role !== undefined, definers };
}

/** The empty database, and how it is entered. */
interface Made {
  oid: number;
  /** Made for a source that is not trusted. */
  role: UntrustedRole | undefined;
  scratch: Scratch;
  /** Sessions that load at the same time. */
  jobs: number;
}

async function makeScratch(work: Filling): Promise<Made> {
  const { request, deps, server, scratchDatabase, runId, privileges, createOptions, byOwnRole } = work;
  const { maintenance } = request;
  const { signal, journal } = deps;
  const jobs = request.jobs ?? jobsByThemselves();
  const oid = await onMaintenance(maintenance, runId, async (connection) => {
    const lacks = (await privileges?.missingRoles(connection)) ?? [];
    // Before the hours that loading may take.
    if (lacks.length > 0) log(journal, runId, 'warn', rolesMissing(lacks));
    return createClosedDatabase(connection, scratchDatabase, createOptions);
  });
  journal.describe(runId, { scratchOid: oid });
  const applicationName = applicationNameOf(runId);
  if (!byOwnRole) {
    const scratch = new Scratch(withDatabase(maintenance, scratchDatabase), applicationName, signal);
    return { oid, role: undefined, scratch, jobs };
  }
  journal.describe(runId, { untrustedRole: untrustedRoleOf(runId) });
  const role = await UntrustedRole.make({ maintenance, server, runId, scratchDatabase, jobs });
  await role.own();
  const scratch = new Scratch(role.endpoint, applicationName, signal, async () => role.renew());
  await role.checkLogin(scratch);
  return { oid, role, scratch, jobs };
}

type Entered = Pick<Made, 'scratch' | 'role'>;

/** The host's own SQL and commands. By them triggers and functions of the dump may run. */
async function runHooks(work: Filling, hooks: HooksConfiguration, { scratch, role }: Entered): Promise<void> {
  const { request, deps, trust, scratchDatabase, runId, privileges } = work;
  const { maintenance, database } = request;
  const { journal, signal } = deps;
  const endpoint = role?.endpoint ?? withDatabase(maintenance, scratchDatabase);
  const { backupId } = trust.manifest ?? {};
  if (role) await scratch.on(1, async ([connection]) => privileges?.applySearchPath(connection, scratchDatabase));
  else {
    await onMaintenance(maintenance, runId, async (connection) =>
      privileges?.applySearchPath(connection, scratchDatabase),
    );
  }
  await scratch.on(1, async ([connection]) => {
    await role?.renew(hooks.timeLimitMs);
    await afterRestore({ hooks, endpoint, connection, runId, database, backupId, journal, signal });
  });
}

/** Owners and grants. The source's own are SQL as the dump is, and run as that does; this server's are nobody's to forge. */
async function applyPrivileges(work: Filling, { scratch, role }: Entered): Promise<string[]> {
  const { request, runId, scratchDatabase, privileges, privilegesOfServer = false, onlyLookedAt = false } = work;
  const { maintenance } = request;
  if (!role) {
    if (privileges) await scratch.on(1, async ([connection]) => privileges.apply(connection));
    return [];
  }
  if (!privilegesOfServer) {
    await scratch.on(1, async ([connection]) => {
      await privileges?.apply(connection, role.standIns);
      if (!onlyLookedAt) await privileges?.applyToDatabase(connection, scratchDatabase, role.standIns);
    });
  }
  // What is dropped again belongs to nobody else, and whoever looks at it does so by that role.
  if (onlyLookedAt) return [];
  const definers = await handOver(role);
  if (!privilegesOfServer) return definers;
  await onMaintenance(withDatabase(maintenance, scratchDatabase), runId, async (connection) =>
    privileges?.apply(connection),
  );
  return definers;
}

export function rolesMissing(roles: readonly string[]): string {
  return `This server has no role ${roles.join(', ')}: what they own is the restoring role’s here, and their rights are left out.`;
}

function trustNotes(trust: Trust, byOwnRole: boolean): string[] {
  if (trust.trusted && !byOwnRole) return [];
  const because = trust.trusted ? 'the control plane alone vouches for it' : trust.because;
  const said = `The source was not trusted (${because}), and was loaded all the same, as allowed`;
  if (!byOwnRole) return [`${said}.`];
  return [
    `${said}, by a role without superuser rights. What it defines has its owners now: functions in its indexes, triggers, views and defaults run with the rights of whoever owns or uses them, autovacuum among them. Let no superuser own or use what nobody has read.`,
  ];
}
