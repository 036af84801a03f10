import type { Command } from '../run-command.ts';
import { checkedRunId } from './runs.ts';
import { onlyOnce, started } from './started.ts';

/** `cancel RUN`: asks the host to end a run. */
export async function cancel(command: Command, runId: string, { watch = false }: { watch?: boolean }): Promise<number> {
  const asked = await command.client.runs.cancel.mutate({ runId: checkedRunId(runId) }, onlyOnce());
  return started(command, asked, { watch, what: 'Asked to cancel', good: 'cancelled' });
}
