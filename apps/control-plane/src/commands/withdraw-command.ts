import { commandStates } from '@strideiq/core';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { moveCommand, type CommandRow } from './move-command.ts';

/** Of a command that was taken back, and of its run until the host has confirmed that. */
export const withdrawnCode = 'RunCancelled';

/**
 * Takes back a command that the host has not confirmed: it is not sent again.
 * @returns whether the host cannot have seen it
 */
export function withdrawCommand(tx: CatalogTransaction, command: CommandRow, now: number): boolean {
  const unseen = command.state === commandStates.initial;
  const told = { reasonCode: withdrawnCode, reason: 'Its run was given up before the host had confirmed it.' };
  moveCommand(tx, command, ['expired'], { now, ...told });
  return unseen;
}
