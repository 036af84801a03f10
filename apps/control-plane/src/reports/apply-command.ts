import { commandStates, type RunState } from '@strideiq/core';
import type { CommandReport } from '@strideiq/protocol';
import { eq } from 'drizzle-orm';
import { runs } from '../catalog/schema.ts';
import { dispatchRun } from '../commands/dispatch-run.ts';
import { withdrawnCode } from '../commands/withdraw-command.ts';
import { moveCommand, type CommandRow } from '../commands/move-command.ts';
import { moveRun, stepsBySaid } from '../runs/move-run.ts';
import { ownCommandOrUnknown } from './owned.ts';
import type { Reported } from './reported.ts';

/**
 * How a command ended. One that the catalog does not know was asked for before it was set back: its run has reports of its
 * own, and there is nothing else to tell. A second word of one that has ended changes nothing.
 */
export function applyCommand(report: Reported, { commandId, state, reason }: CommandReport): void {
  const { tx, news, agentId, now } = report;
  const command = ownCommandOrUnknown(tx, agentId, commandId);
  if (!command) return;
  const steps = commandStates.path(command.state, state) ?? [];
  if (steps.length === 0) return;
  const why = reason ? { reasonCode: reason.code, reason: reason.text } : {};
  moveCommand(tx, command, steps, { now, ...why });
  dispatchRun(tx, news, command.runId, now);
  if (command.kind === 'cancel') {
    // A host that would not cancel may begin it still.
    if (state !== 'expired' && reason?.code !== 'ActionNotAllowed') endWithdrawn(report, command);
  } else if (state !== 'done') endUnbegun(report, command, state === 'refused' ? 'failed' : 'expired', why);
}

/** A command that the host would not begin, or not any more, is the end of its run. */
function endUnbegun(
  { tx, news, now }: Reported,
  { runId }: CommandRow,
  to: RunState,
  { reasonCode = 'CommandRefused', reason = 'The host gave no reason.' }: { reasonCode?: string; reason?: string },
): void {
  const run = runId === null ? undefined : tx.select().from(runs).where(eq(runs.id, runId)).get();
  // Once it runs, its own reports tell how it ends.
  if (run?.state !== 'queued' && run?.state !== 'dispatched') return;
  moveRun(tx, news, run, stepsBySaid(run.state, to), { now, errorCode: reasonCode, error: reason });
}

/**
 * A run whose command was taken back before the host had confirmed it: the host has heard of the end now, and if it had
 * begun it would have said so before.
 */
function endWithdrawn({ tx, news, now }: Reported, { body }: CommandRow): void {
  const { runId } = body as { runId: string };
  const run = tx.select().from(runs).where(eq(runs.id, runId)).get();
  if (run?.state === 'expired' && run.errorCode === withdrawnCode) {
    moveRun(tx, news, run, ['cancelled'], { now });
  }
}
