import { runStates, type RunState } from '@strideiq/core';
import type { CommandOf } from '@strideiq/protocol';
import type { Host } from '../compose.ts';
import { AgentError } from '../errors.ts';
import { isThisProcess, signalOwner } from '../journal/process-identity.ts';
import type { Run } from '../journal/schema.ts';
import { envelopeOf, judgeCommand } from './judge-command.ts';
import { jobOf, runOf, type RunQueue } from './run-queue.ts';
import { isRunCommand } from './work.ts';

/**
 * `cancel`: ends a run that is under way here, waits, or is another process's of this host. One that is over stays as it
 * is; one that was not heard of yet will not be begun, since this command stands in the journal.
 * @throws AgentError `RunUnknown` where it is another database's; `RunElsewhere`
 */
export function doCancel({
  command,
  host,
  queue,
}: {
  command: CommandOf<'cancel'>;
  host: Host;
  queue: RunQueue;
}): void {
  const { journal } = host;
  const { runId } = command.body;
  const run = journal.get(runId);
  const asked = journal.commands.ofRun(runId);
  if ((run ?? asked) && (run ?? asked)?.databaseId !== command.databaseId) throw runUnknown(runId);
  if (run && runStates.isFinal(run.state as RunState)) return;
  if (queue.cancel(runId)) return;
  if (run) {
    // A second signal would be a second Ctrl-C, which leaves at once.
    if (run.state === 'cancelling') return;
    if (isThisProcess(run.owner) && run.detail.commandId === undefined) throw isPart(run);
    interruptOwner(run, host.surroundings.now());
    journal.cancelling(runId);
    return;
  }
  // It stands in the journal, and nobody knows that yet: it will not be begun, and neither will one that has ended.
  const judged = asked?.endedAt === null ? judgeCommand(host, envelopeOf(asked)) : undefined;
  if (!asked || !judged || 'refusal' in judged || !isRunCommand(judged.command)) return;
  const { environment } = host.configuration;
  const text = 'It was cancelled from outside before it had begun.';
  journal.callOff(runOf(jobOf(judged.command, judged.database), environment), { code: 'Interrupted', text });
  journal.commands.end(asked.id, 'done');
}

/** What Ctrl-C does to it; where it is dead already, clearing after it tells that it had been asked to end. */
function interruptOwner({ id, owner, startedAt }: Run, nowMs: number): void {
  if (signalOwner(owner, nowMs - startedAt) !== 'elsewhere') return;
  throw new AgentError(
    'RunElsewhere',
    `The run ${id} is of a process in another container, which cannot be reached from here.`,
    'Interrupt it there by Ctrl-C or SIGTERM.',
  );
}

/** The backup that is made before a database is replaced. */
function isPart({ id, kind }: Run): AgentError {
  return new AgentError(
    'RunElsewhere',
    `The ${kind} ${id} is a part of another run of this agent.`,
    'Cancel that one: it ends with it.',
  );
}

function runUnknown(runId: string): AgentError {
  return new AgentError(
    'RunUnknown',
    `There is no run ${runId} of that database on this host.`,
    'Ask for the runs that there are.',
  );
}
