import { createInterface } from 'node:readline/promises';
import { CodedError } from '@strideiq/core';

/**
 * Has whoever sits there type the name of what is about to be replaced or dropped.
 * @param what the deed, as the beginning of a sentence
 * @throws CodedError `UsageInvalid` where nobody can be asked, or another name was typed; `Interrupted`
 */
export async function confirmName(name: string, what: string, signal: AbortSignal): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CodedError(
      'UsageInvalid',
      `${what} has to be confirmed, and there is no terminal to ask on.`,
      'Say --yes to do it without being asked.',
    );
  }
  const typed = await ask(`${what}. Type ${name} to go on: `, signal);
  if (typed === undefined) throw new CodedError('Interrupted', 'Interrupted.', 'Nothing was changed.');
  if (typed !== name) {
    throw new CodedError('UsageInvalid', `${JSON.stringify(typed)} is not ${name}.`, 'Nothing was changed.');
  }
}

/** What was typed, trimmed; undefined on Ctrl-C and Ctrl-D, and when the signal aborts. */
async function ask(question: string, signal: AbortSignal): Promise<string | undefined> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr, historySize: 0 });
  const left = new AbortController();
  terminal.on('SIGINT', () => left.abort()).on('close', () => left.abort());
  try {
    return (await terminal.question(question, { signal: AbortSignal.any([signal, left.signal]) })).trim();
  } catch (error) {
    if (signal.aborted || left.signal.aborted) return undefined;
    throw error;
  } finally {
    terminal.close();
  }
}
