import type { Run } from '@strideiq/control-plane/router';
import type { Output, ProgressStep } from '@strideiq/terminal';
import prettyBytes from 'pretty-bytes';
import { isOpen } from './states.ts';

/** Draws how far a run is, until it has ended. */
export function showProgress(output: Output, run: Run): void {
  if (isOpen(run)) output.progress(stepOf(run));
}

export function stepOf({ state, phase, progress, tables, rows, bytes, rawBytes }: Run): ProgressStep {
  if (state === 'queued') return { name: 'Waiting for the agent to take it on', announced: true };
  if (state === 'dispatched') return { name: 'The agent has it', announced: true };
  const name = phase === null ? 'Running' : `${phase.slice(0, 1).toUpperCase()}${phase.slice(1)}`;
  return {
    name: state === 'cancelling' ? `Cancelling: ${name}` : name,
    fraction: progress ?? undefined,
    announced: true,
    details: () => [
      ...(rawBytes === null ? [] : [`${prettyBytes(rawBytes)} of SQL`]),
      ...(bytes === null ? [] : [`${prettyBytes(bytes)} compressed`]),
      ...(rows ? [`${rows.toLocaleString('en')} rows`] : []),
      ...(tables.length === 0 ? [] : [tables.join(', ')]),
    ],
  };
}
