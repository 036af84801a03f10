import type { Run } from '@strideiq/control-plane/router';
import { runStates } from '@strideiq/core';

export const runStateNames: readonly Run['state'][] = runStates.all;

const open: readonly Run['state'][] = ['queued', 'dispatched', 'running', 'cancelling'];

/** Whether more is to come of a run. A late report may still wake what expired or was lost; nobody waits for that. */
export function isOpen({ state }: Pick<Run, 'state'>): boolean {
  return open.includes(state);
}
