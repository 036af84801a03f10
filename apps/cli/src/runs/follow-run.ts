import type { Run } from '@strideiq/control-plane/router';
import type { Client } from '../connection/client.ts';
import type { Command } from '../run-command.ts';
import { Patience } from './patience.ts';
import { isOpen } from './states.ts';

/**
 * Follows a run to its end, also over connections that break off.
 * @param tell the run as it is, and again at each change; not called again before it is done
 * @returns the run as it ended
 */
export async function followRun(
  command: Pick<Command, 'client' | 'connection' | 'output' | 'signal'>,
  runId: string,
  tell: (run: Run) => void | Promise<void>,
): Promise<Run> {
  const patience = new Patience(command);
  for (;;) {
    try {
      for await (const run of changesOf(command.client, runId, command.signal)) {
        patience.heard();
        await tell(run);
        if (!isOpen(run)) return run;
      }
    } catch (failure) {
      await patience.wait(failure);
      continue;
    }
    await patience.wait();
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
