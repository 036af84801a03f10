import { ask, canAsk } from '@strideiq/terminal';
import { AgentError } from '../errors.ts';
import type { Command } from './run-command.ts';

/**
 * Has whoever sits there type the name of what is about to be replaced or dropped.
 * @param yes it was said on the command line
 * @throws AgentError `UsageInvalid` where nobody can be asked, or another name was typed; `Interrupted`
 */
export async function confirm({ surroundings }: Command, name: string, yes: boolean, what: string): Promise<void> {
  if (yes) return;
  if (!canAsk()) {
    throw new AgentError(
      'UsageInvalid',
      `${what} has to be confirmed, and there is no terminal to ask on.`,
      'Say --yes to do it without being asked.',
    );
  }
  const typed = await ask(`${what}. Type ${name} to go on: `, surroundings.signal);
  if (typed === undefined) throw new AgentError('Interrupted', 'Interrupted.', 'Nothing was changed.');
  if (typed !== name) {
    throw new AgentError('UsageInvalid', `${JSON.stringify(typed)} is not ${name}.`, 'Nothing was changed.');
  }
}
