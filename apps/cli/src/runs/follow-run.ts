import type { Run } from '@strideiq/control-plane/router';
import { codeOf } from '@strideiq/core';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../connection/client.ts';
import { errorOf } from '../connection/problems.ts';
import type { Command } from '../run-command.ts';
import { isOpen } from './states.ts';

/** A control plane that is started anew, or a network that comes back: a long run is worth the wait. */
const patienceMs = 10 * 60_000;
const firstPauseMs = 500;
const longestPauseMs = 10_000;

/**
 * Follows a run to its end, also over connections that break off.
 * @param tell the run as it is, and again at each change; not called again before it is done
 * @returns the run as it ended
 */
export async function followRun(
  { client, connection, output, signal }: Pick<Command, 'client' | 'connection' | 'output' | 'signal'>,
  runId: string,
  tell: (run: Run) => void | Promise<void>,
): Promise<Run> {
  let heardAt = performance.now();
  let pauseMs = firstPauseMs;
  for (;;) {
    try {
      for await (const run of changesOf(client, runId, signal)) {
        heardAt = performance.now();
        pauseMs = firstPauseMs;
        await tell(run);
        if (!isOpen(run)) return run;
      }
    } catch (failure) {
      signal.throwIfAborted();
      const error = errorOf(failure, connection);
      const passing = ['Unreachable', 'RateLimited'].includes(codeOf(error));
      if (!passing || performance.now() - heardAt > patienceMs) throw error;
      if (pauseMs === firstPauseMs)
        output.note(`${error instanceof Error ? error.message : String(error)} The run goes on; trying again.`);
    }
    signal.throwIfAborted();
    await delay(pauseMs, undefined, { signal });
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  }
}

/** One subscription, as something to loop over. What comes faster than it is taken is left out but for the last. */
async function* changesOf(client: Client, runId: string, signal: AbortSignal): AsyncGenerator<Run> {
  let latest: Run | undefined;
  let over = false;
  let failure: unknown;
  let news = Promise.withResolvers<void>();
  const end = () => {
    over = true;
    news.resolve();
  };
  const subscription = client.runs.follow.subscribe(
    { runId },
    {
      onData: (run) => {
        latest = run;
        news.resolve();
      },
      onError: (error) => {
        failure = error;
        end();
      },
      onComplete: end,
      onStopped: end,
    },
  );
  signal.addEventListener('abort', end);
  try {
    for (;;) {
      const run = latest;
      latest = undefined;
      if (run) yield run;
      else if (over) break;
      else {
        await news.promise;
        news = Promise.withResolvers();
      }
    }
    if (failure !== undefined) throw failure;
  } finally {
    signal.removeEventListener('abort', end);
    subscription.unsubscribe();
  }
}
