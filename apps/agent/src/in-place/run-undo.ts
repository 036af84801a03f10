import { newId, paragraphOf } from '@strideiq/core';
import type { HooksConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import { askedBy, type Asked } from '../journal/journal.ts';
import { loggingPhases } from '../journal/run-log.ts';
import type { InPlace } from '../journal/schema.ts';
import { describeServer, type Endpoint } from '../postgres/endpoint.ts';
import { onMaintenance } from '../restore/maintenance-session.ts';
import type { RestoreDependencies } from '../restore/restore-request.ts';
import { inPlaceRuns, type InPlaceRunRow } from './in-place-runs.ts';
import { freeKeptName } from './kept-names.ts';
import { checkLive } from './live-database.ts';
import { aloneAtNames } from './swap-lock.ts';
import { namesOf, swapDatabases } from './swap.ts';
import { SwapHooks } from './swap-hooks.ts';

export interface UndoRequest {
  environment: string;
  database: string;
  databaseId: string;
  maintenance: Endpoint;
  hooks: HooksConfiguration;
  stateDir: string;
  asked?: Asked;
}

export interface UndoOutcome {
  runId: string;
  /** The run that was taken back. */
  undoOf: string;
  /** The name that was handed back. */
  into: string;
  /** What the database that had it is called now. */
  keptAs: string;
}

/**
 * The restore in place that can be taken back: the newest whose databases both are where it has put them.
 * @throws AgentError `NothingToUndo`
 */
export async function findUndo(
  { databaseId, database, maintenance }: Pick<UndoRequest, 'databaseId' | 'database' | 'maintenance'>,
  { journal }: Pick<RestoreDependencies, 'journal'>,
): Promise<InPlaceRunRow> {
  const runs = inPlaceRuns(journal, databaseId);
  const oids = runs.flatMap(({ detail }) => [detail.inPlace.oid, detail.scratchOid]);
  const names = await onMaintenance(maintenance, newId(0), async (connection) => namesOf(connection, oids));
  const found = runs.find(({ finishedAt, detail: { inPlace, scratchOid } }) => {
    return (
      finishedAt !== null && names.get(scratchOid) === inPlace.database && names.get(inPlace.oid) === inPlace.keptAs
    );
  });
  if (found) return found;
  throw new AgentError(
    'NothingToUndo',
    `No restore in place of ${database} can be taken back: none was made by this host, or the database that it replaced is gone.`,
    '`strideiq-agent restore kept` lists the databases that are kept.',
  );
}

/**
 * Gives a database the name back that a restore in place took from it; the restored one is kept. What the application
 * has written since is in that one.
 * @throws AgentError `NothingToUndo`, `SwapImpossible`, `SwapFailed`, `HookFailed`, `HealthCheckFailed`
 */
export async function runUndo(
  request: UndoRequest,
  dependencies: RestoreDependencies,
  undone: InPlaceRunRow,
): Promise<UndoOutcome> {
  return aloneAtNames(request, async () => undo(request, dependencies, undone));
}

async function undo(
  request: UndoRequest,
  dependencies: RestoreDependencies,
  undone: InPlaceRunRow,
): Promise<UndoOutcome> {
  const { environment, database, databaseId, maintenance, hooks, asked } = request;
  const { journal, now, signal } = dependencies;
  const runId = asked?.runId ?? newId(now());
  const progress = loggingPhases(journal, runId, dependencies.progress);
  const { inPlace: before, scratchOid: oldOid } = undone.detail;
  const name = before.database;
  const keptAs = await onMaintenance(maintenance, runId, async (connection) =>
    freeKeptName(connection, name, 'undone', now()),
  );
  const inPlace: InPlace = { database: name, oid: oldOid, keptAs, step: 'restoring', undoOf: undone.id };
  const detail = {
    source: before.keptAs,
    into: name,
    server: describeServer(maintenance),
    scratchOid: before.oid,
    inPlace,
    ...askedBy(asked),
  };
  const runHooks = new SwapHooks({ hooks, journal, runId, database, target: name, backupId: undefined });
  const begin = (step: InPlace['step']) => journal.describe(runId, { inPlace: { ...inPlace, step } });
  let stopped = false;
  return journal.record(
    { id: runId, kind: 'restore', environment, database, databaseId, detail },
    async () => {
      await onMaintenance(maintenance, runId, async (connection) => checkLive(connection, name, undefined, now()));
      begin('beforeSwap');
      stopped = true;
      progress({ phase: 'stopping' });
      await runHooks.before(signal);
      signal.throwIfAborted();
      begin('swapping');
      progress({ phase: 'swapping' });
      const swap = { name, oldOid, keptAs, newOid: before.oid, newName: before.keptAs, opensToPublic: false };
      await swapDatabases({ maintenance, runId }, swap);
      stopped = false;
      try {
        begin('afterSwap');
      } catch {
        // The names tell by themselves how far it is.
      }
      progress({ phase: 'starting' });
      await runHooks.after('replaced').catch((cause: unknown) => {
        throw new AgentError(
          cause instanceof AgentError ? cause.code : 'RestoreFailed',
          `${name} is again the database that it was before the restore, but the application did not start on it: ${paragraphOf(cause)}`,
          `Start it by hand. The restored database is kept as ${keptAs}.`,
          { cause },
        );
      });
      return { result: { runId, undoOf: undone.id, into: name, keptAs }, detail: {} };
    },
    async () => {
      if (!stopped) return {};
      const failure = await runHooks.after('kept').catch((error: unknown) => error);
      return failure instanceof Error ? { warnings: [failure.message] } : {};
    },
  );
}
