import type { Run } from '@strideiq/control-plane/router';
import { randomUUID } from 'node:crypto';
import type { Command } from '../run-command.ts';
import { describeRun } from './describe-run.ts';
import { followRun } from './follow-run.ts';
import { showProgress } from './show-progress.ts';

/**
 * A name for one request, made once for each command: a request that has to be sent again carries the same one, and
 * starts nothing twice.
 */
export function onlyOnce(): { context: { idempotencyKey: string } } {
  return { context: { idempotencyKey: randomUUID() } };
}

/**
 * Work was taken on: says how to follow it, or follows it to its end.
 * @param good the state that was wished for
 * @returns the exit code
 */
export async function started(
  command: Command,
  { runId }: { runId: string },
  { watch = false, what, good = 'succeeded' }: { watch?: boolean; what: string; good?: Run['state'] },
): Promise<number> {
  const { output, signal } = command;
  const how = `strideiq runs ${runId} --follow`;
  if (!watch) {
    output.result({ runId }, `${what}: run ${runId}\nFollow it by: ${how}`);
    return 0;
  }
  try {
    const run = await followRun(command, runId, (now) => showProgress(output, now));
    output.result({ runId, ...run }, describeRun(run));
    if (run.state === good) return 0;
    output.problem(`${what} ${run.state}: ${run.error?.text ?? `run ${runId}`}`);
    return 1;
  } catch (error) {
    if (signal.aborted) output.note(`The run goes on. Follow it by: ${how}\nEnd it by: strideiq cancel ${runId}`);
    throw error;
  }
}
