import { runStates } from '@strideiq/core';
import { and, eq, inArray, lte } from 'drizzle-orm';
import { commands, runs } from '../catalog/schema.ts';
import { moveCommand } from '../commands/move-command.ts';
import { moveRun } from './move-run.ts';
import { commit, type NewsParts } from './news.ts';

/**
 * Ends commands that no host has confirmed in time, and the runs that they were to begin.
 * @returns those runs
 */
export function expireCommands(parts: NewsParts & { now: () => number }): string[] {
  const { catalog, now } = parts;
  const overdue = and(inArray(commands.state, ['queued', 'delivered']), lte(commands.expiresAt, now()));
  // Most of the time there is none, and nothing to be written.
  if (!catalog.select({ id: commands.id }).from(commands).where(overdue).limit(1).get()) return [];
  return commit(parts, (tx, news) => {
    const expired: string[] = [];
    const at = now();
    for (const command of tx.select().from(commands).where(overdue).all()) {
      moveCommand(tx, command, ['expired'], { now: at });
      const run = command.runId === null ? undefined : tx.select().from(runs).where(eq(runs.id, command.runId)).get();
      if (!run || !runStates.canMove(run.state, 'expired')) continue;
      moveRun(tx, news, run, ['expired'], { now: at, ...(command.state === 'queued' ? notConnected : notConfirmed) });
      expired.push(run.id);
    }
    return expired;
  });
}

const notConnected = {
  errorCode: 'CommandExpired',
  error:
    'The agent was not connected while the command was good. See why (`strideiq agents`, and `strideiq-agent doctor` on the host), and ask again.',
};
const notConfirmed = {
  errorCode: 'CommandExpired',
  error:
    'The command was sent, and the agent did not confirm it in time. If the host did it all the same, its report will still be taken; else ask again.',
};
