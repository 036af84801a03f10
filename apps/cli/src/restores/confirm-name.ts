import { ask, canAsk } from '@strideiq/terminal';
import { CliError } from '../errors.ts';
import type { Command } from '../run-command.ts';

/**
 * Has whoever sits there type the name of the database that is about to be replaced.
 * @throws CliError `UsageInvalid` where nobody can be asked, or another name was typed; `Interrupted`
 */
export async function confirmName({ signal }: Command, name: string, what: string): Promise<void> {
  if (!canAsk()) {
    throw new CliError(
      'UsageInvalid',
      `${what} has to be confirmed, and there is no terminal to ask on.`,
      'Say --yes to do it without being asked.',
    );
  }
  const typed = await ask(`${what}. Type ${name} to go on: `, signal);
  if (typed === undefined) throw new CliError('Interrupted', 'Interrupted.', 'Nothing was asked for.');
  if (typed !== name) {
    throw new CliError('UsageInvalid', `${JSON.stringify(typed)} is not ${name}.`, 'Nothing was asked for.');
  }
}
