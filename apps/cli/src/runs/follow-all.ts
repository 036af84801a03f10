import type { Run } from '@strideiq/control-plane/router';
import { setTimeout as delay } from 'node:timers/promises';
import { momentText } from '../moments.ts';
import { databaseName } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';
import { Patience } from './patience.ts';
import { isOpen } from './states.ts';

const everyMs = 2000;

/**
 * `runs --follow`: tells of each run that begins, goes on and ends, until Ctrl-C. Of those that are over already,
 * nothing.
 * @param newest asks for the newest runs
 */
export async function followAll(
  command: Pick<Command, 'connection' | 'output' | 'signal'>,
  newest: () => Promise<{ items: Run[] }>,
): Promise<never> {
  const { output, signal } = command;
  const patience = new Patience(command);
  const known = new Map<string, Run['state']>();
  for (let first = true; ; first = false) {
    const items = await heard(patience, newest);
    for (const run of items.toReversed()) {
      const before = known.get(run.id);
      known.set(run.id, run.state);
      if (before === run.state || (first && !isOpen(run))) continue;
      output.item({ run }, lineOf(run));
    }
    if (first && !output.json) output.note('Following runs; Ctrl-C ends it.');
    await delay(everyMs, undefined, { signal });
  }
}

async function heard(patience: Patience, newest: () => Promise<{ items: Run[] }>): Promise<Run[]> {
  for (;;) {
    try {
      const { items } = await newest();
      patience.heard();
      return items;
    } catch (failure) {
      await patience.wait(failure);
    }
  }
}

function lineOf(run: Run): string {
  const { id, kind, state, error, endedAt, startedAt, createdAt } = run;
  const at = momentText(endedAt ?? startedAt ?? createdAt);
  const why = error === null ? '' : `: ${error.code}`;
  return `${at}  ${databaseName({ ...run, name: run.database })}  ${kind}  ${state}${why}  ${id}`;
}
