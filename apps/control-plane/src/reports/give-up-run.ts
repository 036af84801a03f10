import { idSchema, runStates } from '@strideiq/core';
import { eq } from 'drizzle-orm';
import { z } from 'zod';
import { runs } from '../catalog/schema.ts';
import { moveRun } from '../runs/move-run.ts';
import { isOpen } from '../runs/open-states.ts';
import type { Reported } from './reported.ts';

/** All that has to be legible of a run's last report to know that it is over. */
const endSchema = z.object({ runId: idSchema, state: z.string() });

/** States that say that it is not over. */
const going = ['running', 'cancelling'];

/**
 * The end of a run was told in words that cannot be taken, and is not told again: it would go on forever. It is lost, with
 * the reason, until somebody tells better.
 */
export function giveUpRun(
  { tx, news, agentId, now }: Reported,
  body: unknown,
  why: { code: string; text: string },
): void {
  const said = endSchema.safeParse(body);
  if (!said.success || going.includes(said.data.state)) return;
  const run = tx.select().from(runs).where(eq(runs.id, said.data.runId)).get();
  if (run?.agentId !== agentId || !isOpen(run.state)) return;
  const error = `It has ended on its host, and what that reported of the end could not be taken. ${why.text}`;
  moveRun(tx, news, run, runStates.path(run.state, 'lost') ?? [], { now, errorCode: why.code, error });
}
