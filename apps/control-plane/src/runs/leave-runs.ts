import { and, eq, inArray } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { commands, runs } from '../catalog/schema.ts';
import { withdrawCommand } from '../commands/withdraw-command.ts';
import { moveRun } from './move-run.ts';
import type { News } from './news.ts';
import { openRunStates } from './open-states.ts';

const why = {
  errorCode: 'DatabaseMoved',
  error:
    'The database was given to another agent before this run had ended: what its former one reports of it is not taken any more.',
};

/** Gives up what an agent was asked for on a database that is not its own any more: nothing that it says of it is taken. */
export function leaveRuns(
  tx: CatalogTransaction,
  news: News,
  { databaseId, agentId }: { databaseId: string; agentId: string },
  now: number,
): void {
  const waiting = tx
    .select()
    .from(commands)
    .where(
      and(
        eq(commands.agentId, agentId),
        inArray(commands.state, ['queued', 'delivered']),
        eq(commands.databaseId, databaseId),
      ),
    )
    .all();
  for (const command of waiting) withdrawCommand(tx, command, now);
  const open = tx
    .select()
    .from(runs)
    .where(and(eq(runs.agentId, agentId), eq(runs.databaseId, databaseId), inArray(runs.state, [...openRunStates])))
    .all();
  for (const run of open) moveRun(tx, news, run, [run.state === 'queued' ? 'cancelled' : 'lost'], { now, ...why });
}
