import { commandStates } from '@strideiq/core';
import { and, eq } from 'drizzle-orm';
import { commands } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import { commit, type NewsParts } from '../runs/news.ts';
import { dispatchRun } from './dispatch-run.ts';
import { moveCommand } from './move-command.ts';

/**
 * An agent has a command in its journal: it is not sent again. Said again, or of one that has ended since, it changes
 * nothing.
 * @throws ControlPlaneError `CommandUnknown` where there is none, or it is another agent's
 */
export function acknowledge(parts: NewsParts & { now: () => number }, agentId: string, commandId: string): void {
  commit(parts, (tx, news) => {
    const command = tx
      .select()
      .from(commands)
      .where(and(eq(commands.id, commandId), eq(commands.agentId, agentId)))
      .get();
    if (!command) throw commandUnknown(commandId);
    const steps = commandStates.path(command.state, 'acknowledged') ?? [];
    if (steps.length === 0) return;
    const now = parts.now();
    moveCommand(tx, command, steps, { now });
    // One that a catalog which was set back holds for unsent.
    dispatchRun(tx, news, command.runId, now);
    if (command.runId !== null) news.runChanged(command.runId);
  });
}

/** The same for one that is another agent's: what others have is nobody's business. */
export function commandUnknown(commandId: string): ControlPlaneError {
  return new ControlPlaneError(
    'CommandUnknown',
    `The control plane knows no command ${commandId} of this agent.`,
    'It may have been set back to an older catalog: go on with the command, and report what comes of it.',
  );
}
