import { commandStates, type CommandState } from '@strideiq/core';
import { eq } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { commands } from '../catalog/schema.ts';

export type CommandRow = typeof commands.$inferSelect;

/** When a command came to a state, in the column of that state. */
const momentOf = {
  queued: {},
  delivered: { column: 'deliveredAt' },
  acknowledged: { column: 'acknowledgedAt' },
  done: { column: 'endedAt' },
  expired: { column: 'endedAt' },
  refused: { column: 'endedAt' },
} as const satisfies Record<CommandState, { column?: keyof CommandRow }>;

/** Takes a command step by step to where `steps` end, and writes that down with the moment of each step. */
export function moveCommand(
  tx: CatalogTransaction,
  command: Pick<CommandRow, 'id' | 'state'>,
  steps: CommandState[],
  told: { now: number; reasonCode?: string; reason?: string },
): void {
  let { state } = command;
  const moments: Partial<CommandRow> = {};
  const { now, ...reason } = told;
  for (const step of steps) {
    state = commandStates.move(state, step);
    const moment = momentOf[step];
    if ('column' in moment) moments[moment.column] = now;
  }
  tx.update(commands)
    .set({ ...moments, ...reason, state })
    .where(eq(commands.id, command.id))
    .run();
}
