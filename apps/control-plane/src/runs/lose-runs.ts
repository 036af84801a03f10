import { commandStates } from '@strideiq/core';
import { and, eq, inArray, lte } from 'drizzle-orm';
import type { AgentConnections } from '../agents/agent-connections.ts';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { agents, commands, runs } from '../catalog/schema.ts';
import { moveCommand } from '../commands/move-command.ts';
import { moveRun, type RunError, type RunRow } from './move-run.ts';
import { commit, type News, type NewsParts } from './news.ts';

/** How long an agent may be away before its runs are taken for lost. */
const absentMs = 24 * 60 * 60_000;

/**
 * Gives up the runs of agents that have not been seen for a day.
 * @returns those runs
 */
export function loseRunsOfAbsent(
  parts: NewsParts & { now: () => number; connections: Pick<AgentConnections, 'isConnected'> },
): string[] {
  const { catalog, now, connections } = parts;
  const going = inArray(runs.state, ['dispatched', 'running', 'cancelling']);
  const absent = lte(agents.lastSeenAt, now() - absentMs);
  const held = catalog
    .select({ run: runs })
    .from(runs)
    .innerJoin(agents, eq(agents.id, runs.agentId))
    .where(and(going, absent))
    .all()
    // Memory knows: that one has left may not have been written down.
    .filter(({ run }) => !connections.isConnected(run.agentId));
  if (held.length === 0) return [];
  return commit(parts, (tx, news) => {
    const at = now();
    for (const { run } of held) loseRun(tx, news, run, { now: at, ...gone });
    return held.map(({ run }) => run.id);
  });
}

/** A run that is lost takes its command with it, which nobody will end. */
export function loseRun(tx: CatalogTransaction, news: News, run: RunRow, told: RunError & { now: number }): void {
  moveRun(tx, news, run, ['lost'], told);
  const command =
    run.commandId === null ? undefined : tx.select().from(commands).where(eq(commands.id, run.commandId)).get();
  if (command && commandStates.canMove(command.state, 'expired')) {
    moveCommand(tx, command, ['expired'], { now: told.now });
  }
}

const gone = {
  errorCode: 'RunLost',
  error:
    'The agent has not been seen for a day. See to its host; if the run came to an end there, its report will still be taken.',
};
