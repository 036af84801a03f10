import { paragraphOf } from '@strideiq/core';
import type { HooksConfiguration } from '../configuration/index.ts';
import { endLeftHook } from '../hooks/hook-process.ts';
import type { Journal } from '../journal/journal.ts';
import type { RunDetail } from '../journal/schema.ts';
import type { Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import type { InPlaceRunRow } from './in-place-runs.ts';
import { freeKeptName } from './kept-names.ts';
import { namesOf, swapDatabases } from './swap.ts';
import { SwapHooks } from './swap-hooks.ts';

export interface Recovery {
  journal: Journal;
  connection: Connection;
  maintenance: Endpoint;
  hooks: HooksConfiguration;
  now: () => number;
  /** Drops what was half restored; whether there was anything. */
  dropScratch: () => Promise<boolean>;
}

/** What has become of a restore in place whose process was killed. */
export interface Recovered {
  state: 'succeeded' | 'failed';
  text: string;
  detail: RunDetail;
}

/**
 * Finishes a restore in place that was killed once the names were handed on, and takes one back that was killed before;
 * either way the application is started again where it had been stopped. Which of the two databases bears the name is
 * told by their oids, whatever the journal came to write.
 * @throws whatever the server says where it cannot be asked: the run is then still open
 */
export async function recoverInPlace(run: InPlaceRunRow, recovery: Recovery): Promise<Recovered> {
  const { connection, journal, hooks } = recovery;
  const { inPlace, scratchOid, backupId } = run.detail;
  const { database: name, oid, step } = inPlace;
  await endLeftHook(run);
  const runHooks = new SwapHooks({ hooks, journal, runId: run.id, database: run.database, target: name, backupId });
  const names = await namesOf(connection, [oid, scratchOid]);
  if (names.get(scratchOid) === name) return finish(run, recovery, runHooks);
  const warnings: string[] = [];
  // First of all, since an application may stand still: dropping a large database takes its time, and may fail.
  if (step !== 'restoring') {
    await runHooks.after('kept').catch((error: unknown) => warnings.push(paragraphOf(error)));
  }
  const dropped = await recovery.dropScratch();
  const detail = { warnings: [...(run.detail.warnings ?? []), ...warnings] };
  const failed = (text: string): Recovered => ({ state: 'failed', text, detail });
  if (names.get(oid) !== name) {
    return failed(
      `The agent's process ended in the middle of a restore in place of ${name}, and somebody has renamed its databases since: the replaced one is ${names.get(oid) ?? 'gone'}, the restored one ${names.get(scratchOid) ?? 'gone'}.`,
    );
  }
  if (step === 'undoing') {
    const kept = inPlace.undoneAs === undefined ? '' : `; the restored one is kept as ${inPlace.undoneAs}`;
    return failed(
      `The restore was taken back, since the application did not start on it: ${name} is the database that it was${kept}.`,
    );
  }
  const what = inPlace.undoOf === undefined ? 'restore in place' : 'undo';
  const gone = dropped ? ' The half-restored database was dropped.' : '';
  const kept = inPlace.undoOf === undefined ? '' : ` The other one is still called ${run.detail.source}.`;
  return failed(
    `The agent's process ended before the ${what} of ${name} had replaced it: it is the database that it was.${gone}${kept}`,
  );
}

async function finish(run: InPlaceRunRow, recovery: Recovery, hooks: SwapHooks): Promise<Recovered> {
  const { journal, maintenance, now } = recovery;
  const { inPlace, scratchOid, warnings = [] } = run.detail;
  const { database: name, oid, keptAs } = inPlace;
  const begun = `The agent's process ended just after ${name} was replaced;`;
  try {
    await hooks.after('replaced');
    const text = `${begun} the rest was done at the next start. The database that it was is kept as ${keptAs}.`;
    return { state: 'succeeded', text, detail: { warnings: [...warnings, text] } };
  } catch (error) {
    if (inPlace.undoOf !== undefined) {
      return { state: 'failed', text: `${begun} the application did not start: ${paragraphOf(error)}`, detail: {} };
    }
    const undoneAs = await freeKeptName(recovery.connection, name, 'undone', now());
    journal.describe(run.id, { inPlace: { ...inPlace, step: 'undoing', undoneAs } });
    const back = { name, oldOid: scratchOid, keptAs: undoneAs, newOid: oid, newName: keptAs, opensToPublic: false };
    await swapDatabases({ maintenance, runId: run.id }, back);
    const failures = await hooks.after('kept').then(
      () => [],
      (failure: unknown) => [paragraphOf(failure)],
    );
    return {
      state: 'failed',
      text: `${begun} the application did not start on it, so it was taken back, and the restored one is kept as ${undoneAs}: ${paragraphOf(error)}`,
      detail: { warnings: [...warnings, ...failures] },
    };
  }
}
