import { runStates } from '@strideiq/core';
import { eq } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { runs } from '../catalog/schema.ts';
import { moveRun } from '../runs/move-run.ts';
import type { News } from '../runs/news.ts';

/** A command that its host has, or may have, is the beginning of its run: from then on it can be lost, and is not waited for. */
export function dispatchRun(tx: CatalogTransaction, news: News, runId: string | null, now: number): void {
  const run = runId === null ? undefined : tx.select().from(runs).where(eq(runs.id, runId)).get();
  if (run && runStates.canMove(run.state, 'dispatched')) moveRun(tx, news, run, ['dispatched'], { now });
}
