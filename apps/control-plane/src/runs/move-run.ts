import { runStates, type RunState } from '@strideiq/core';
import { eq } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { runs } from '../catalog/schema.ts';
import type { News } from './news.ts';
import { isOpen } from './open-states.ts';

export type RunRow = typeof runs.$inferSelect;

/** Why a run ended as it did, by the control plane's own word. */
export interface RunError {
  errorCode: string;
  error: string;
}

/**
 * The steps that a host's word of a run leads to; none where it is older than what is known, or the same. The table has no
 * circle, so one of two states is always the older, or they contradict each other.
 * @throws CoreError `IllegalTransition` where it contradicts what is known: one end after another
 */
export function stepsBySaid(known: RunState, said: RunState): RunState[] {
  if (runStates.path(said, known) !== undefined) return [];
  return runStates.path(known, said) ?? [runStates.move(known, said)];
}

/** Takes a run step by step to where `steps` end, and writes that down together with what else was told of it. */
export function moveRun(
  tx: CatalogTransaction,
  news: News,
  run: Pick<RunRow, 'id' | 'state'>,
  steps: RunState[],
  told: Partial<RunRow> & { now: number },
): void {
  let { state } = run;
  for (const step of steps) state = runStates.move(state, step);
  const { now, ...rest } = told;
  const ended = !isOpen(state);
  // A run that was given up and goes on after all has no end and no error any more.
  const end = ended ? { endedAt: now } : { endedAt: null, errorCode: null, error: null };
  tx.update(runs)
    .set({ ...end, ...rest, state })
    .where(eq(runs.id, run.id))
    .run();
  news.runChanged(run.id, { ended });
}
