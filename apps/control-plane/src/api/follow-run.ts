import { runStates } from '@strideiq/core';
import type { ApiParts } from './context.ts';
import { runOf, type Run } from './run-view.ts';

/**
 * A run as it is now, and again whenever it has changed, until it has ended. Changes that follow each other faster than
 * they are taken are told as one.
 * @param signal ends it: the client went, or the program stops
 */
export async function* followRun(
  parts: Pick<ApiParts, 'catalog' | 'live'>,
  runId: string,
  signal?: AbortSignal,
): AsyncGenerator<Run, void, undefined> {
  let changed = Promise.withResolvers<void>();
  const wake = () => changed.resolve();
  // Before the first look, so that nothing falls between the two.
  const unwatch = parts.live.onChange(runId, wake);
  signal?.addEventListener('abort', wake);
  try {
    let said = '';
    while (signal?.aborted !== true) {
      const run = runOf(parts, runId);
      const text = JSON.stringify(run);
      if (text !== said) yield run;
      said = text;
      if (runStates.isFinal(run.state) || run.state === 'lost') return;
      await changed.promise;
      changed = Promise.withResolvers();
    }
  } finally {
    unwatch();
    signal?.removeEventListener('abort', wake);
  }
}
