import { newId } from '@strideiq/core';
import { AgentError } from '../errors.ts';
import type { RunDetail } from '../journal/schema.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { checkFirst, type Checked } from './check-first.ts';
import { dropScratch } from './drop-scratch.ts';
import { fillScratch, type Filled } from './fill-scratch.ts';
import { onMaintenance } from './maintenance-session.ts';
import { planOf, type RestorePlan } from './plan.ts';
import { Privileges } from './privileges.ts';
import type { RestoreDependencies, RestoreOutcome, RestoreRequest } from './restore-request.ts';
import { restoreRunOf } from './restore-run.ts';
import { checkTarget, localeOptions, type TargetServer } from './target.ts';

export interface FreshRequest extends RestoreRequest {
  /** Name of the new database. */
  into: string;
  /** Called once the source is not needed any more, whatever has become of the restore; answers with what is to be told. */
  release?: () => Promise<string[]>;
}

/**
 * Restores into a new database. It bears another name until rows and objects were compared: under the name that was
 * asked for there is a proven database or none.
 * @throws AgentError; no database of this run is left then
 */
export async function runRestore(request: FreshRequest, dependencies: RestoreDependencies): Promise<RestoreOutcome> {
  const { into, maintenance } = request;
  const { run, deps } = restoreRunOf(request, dependencies, { kind: 'restore', into });
  const { journal, now } = deps;
  let scratchDatabase: string | undefined;
  return journal.record(
    run,
    async () => {
      const runId = run.id;
      const checked = await checkFirst(request, deps, runId, async (connection, manifest) =>
        checkTarget(connection, into, manifest),
      );
      scratchDatabase = scratchNameOf(runId);
      journal.describe(runId, { scratchDatabase });
      const restored = await restoreInto({ ...checked, request, deps, scratchDatabase, runId });
      const result = { ...restored, notes: [...restored.notes, ...((await request.release?.()) ?? [])] };
      return { result, detail: outcomeOf(result) };
    },
    async () => {
      const dropped = scratchDatabase === undefined ? {} : await dropScratch(maintenance, run.id, scratchDatabase, now);
      return { ...dropped, warnings: [...(dropped.warnings ?? []), ...((await request.release?.()) ?? [])] };
    },
  );
}

/** What it would do. @throws AgentError where it could not */
export async function planRestore(request: FreshRequest, deps: RestoreDependencies): Promise<RestorePlan> {
  const checked = await checkFirst(request, deps, newId(deps.now()), async (connection, manifest) =>
    checkTarget(connection, request.into, manifest),
  );
  return planOf(deps.journal, request, checked);
}

/** What the database of a run is called until it gets its own name. */
export function scratchNameOf(runId: string): string {
  return `strideiq_restore_${runId.replaceAll('-', '')}`;
}

/** Whether a database is one that a restore or drill fills, by the form of its name. */
export function isScratchName(name: string): boolean {
  return /^strideiq_restore_[0-9a-f]{32}$/.test(name);
}

/** What the journal is to know of a restore that went well. */
export function outcomeOf({ tables, objects, notes }: Pick<RestoreOutcome, 'tables' | 'objects' | 'notes'>): RunDetail {
  const rows = tables.reduce((sum, table) => sum + table.found, 0);
  return { rows, tables: tables.length, objects, warnings: notes };
}

interface Work extends Checked<TargetServer> {
  request: FreshRequest;
  deps: RestoreDependencies;
  scratchDatabase: string;
  runId: string;
}

async function restoreInto(work: Work): Promise<RestoreOutcome> {
  const { request, deps, trust, server, runId } = work;
  const { manifest } = trust;
  const { source, into } = request;
  const privileges = manifest?.privileges ? await Privileges.ofBackup(source, manifest.privileges) : undefined;
  const createOptions = manifest ? localeOptions(manifest.source, server) : '';
  const filled = await fillScratch({ ...work, privileges, createOptions });
  const { tables, objects, notes } = filled;
  // Before the last step, so that a restore that is killed just after it tells the same.
  deps.journal.describe(runId, outcomeOf({ tables, objects, notes }));
  await openUnder(work, filled, privileges);
  return {
    runId,
    into,
    backupId: manifest?.backupId,
    tables,
    objects,
    privileges: manifest?.privileges?.name,
    notes: [...notes, ...privilegeNotes(work, privileges, filled)],
  };
}

function privilegeNotes({ trust, request }: Work, privileges: Privileges | undefined, { definers }: Filled): string[] {
  if (privileges) return privileges.notes;
  if (definers.length > 0) {
    return [
      `Whoever calls ${definers.join(', ')} acts as a superuser (SECURITY DEFINER). So nobody but superusers and owners may connect to ${request.into} until somebody has read them: ALTER ROUTINE … SECURITY INVOKER, or OWNER TO somebody with fewer rights; then GRANT CONNECT, TEMPORARY ON DATABASE … TO PUBLIC, as it was.`,
    ];
  }
  if (!trust.manifest) return [];
  return [
    `The backup holds no owners and grants, so nobody but superusers may connect to ${request.into}: GRANT CONNECT ON DATABASE … TO … lets them in.`,
  ];
}

/**
 * From here on it is the database that was asked for. One transaction: under its name it is open to whom its source was
 * open, or it does not bear the name.
 */
async function openUnder(
  work: Work,
  { oid, databaseApplied, definers }: Filled,
  privileges: Privileges | undefined,
): Promise<void> {
  const { request, runId, trust, scratchDatabase } = work;
  const { into } = request;
  try {
    await onMaintenance(request.maintenance, runId, async (connection) => {
      if (!databaseApplied) await privileges?.applyToDatabase(connection, scratchDatabase);
      await connection.query('BEGIN');
      await connection.query(`ALTER DATABASE ${quoteIdentifier(scratchDatabase)} RENAME TO ${quoteIdentifier(into)}`);
      if (privileges ? privileges.opensToPublic : !trust.manifest && definers.length === 0) {
        await connection.query(`GRANT CONNECT, TEMPORARY ON DATABASE ${quoteIdentifier(into)} TO PUBLIC`);
      }
      await connection.query('COMMIT');
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
  return onMaintenance(request.maintenance, runId, async (connection) => {
    const { rows } = await connection.query('SELECT FROM pg_database WHERE oid = $1 AND datname = $2', [
      oid,
      request.into,
    ]);
    return rows.length > 0;
  });
}
