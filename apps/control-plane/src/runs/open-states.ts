import type { RunState } from '@strideiq/core';

/**
 * Those in which a run is still to come to its end. `expired` and `lost` are none, though a late report may still tell
 * better: nobody waits for it.
 */
export const openRunStates = ['queued', 'dispatched', 'running', 'cancelling'] as const satisfies RunState[];

export function isOpen(state: RunState): boolean {
  return (openRunStates as readonly RunState[]).includes(state);
}
