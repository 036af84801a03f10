import type { Settled } from '@strideiq/protocol';
import { and, eq, inArray } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { commands, runs } from '../catalog/schema.ts';
import { loseRun } from './lose-runs.ts';
import type { RunRow } from './move-run.ts';
import { commit, type NewsParts } from './news.ts';

/**
 * An agent has told all it had to tell, and says what it still has in hand: runs that it knows nothing of any more are
 * lost. One whose command it may not have seen yet is none of them.
 */
export function settleRuns(parts: NewsParts & { now: () => number }, agentId: string, settled: Settled): void {
  const openRuns = new Set(settled.openRunIds);
  const openCommands = new Set(settled.openCommandIds);
  commit(parts, (tx, news) => {
    const now = parts.now();
    const held = tx
      .select()
      .from(runs)
      .where(and(eq(runs.agentId, agentId), inArray(runs.state, ['dispatched', 'running', 'cancelling'])))
      .all();
    for (const run of held) {
      if (openRuns.has(run.id)) continue;
      if (run.commandId !== null && openCommands.has(run.commandId)) continue;
      if (isStillWaiting(tx, run)) continue;
      loseRun(tx, news, run, { now, ...forgotten });
    }
  });
}

/** Then it comes to its end with the command: taken on, or expired. */
function isStillWaiting(tx: CatalogTransaction, { commandId }: RunRow): boolean {
  const command = commandId === null ? undefined : tx.select().from(commands).where(eq(commands.id, commandId)).get();
  return command?.state === 'queued' || command?.state === 'delivered';
}

const forgotten = {
  errorCode: 'RunLost',
  error:
    'The agent has connected again and knows nothing of this run: it was restarted, or lost its state directory, in the middle of it. ' +
    'See what it left with `strideiq-agent doctor` on the host, and ask for it again.',
};
