import type { LogReport } from '@strideiq/protocol';
import { and, desc, eq, lte } from 'drizzle-orm';
import { runLog } from '../catalog/schema.ts';
import { ownRun } from './owned.ts';
import type { Reported } from './reported.ts';

/** Lines that are kept of one run: the newest. */
export const mostLogLines = 2000;

/** Adds what people read of a run. */
export function applyLog({ tx, news, agentId }: Reported, { runId, lines }: LogReport): void {
  ownRun(tx, agentId, runId);
  if (lines.length === 0) return;
  tx.insert(runLog)
    .values(lines.map(({ at, level, text }) => ({ runId, hostAt: Date.parse(at), level, text })))
    .run();
  const tooOld = tx
    .select({ seq: runLog.seq })
    .from(runLog)
    .where(eq(runLog.runId, runId))
    .orderBy(desc(runLog.seq))
    .limit(1)
    .offset(mostLogLines)
    .get();
  if (tooOld)
    tx.delete(runLog)
      .where(and(eq(runLog.runId, runId), lte(runLog.seq, tooOld.seq)))
      .run();
  news.runChanged(runId);
}
