import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { CliError } from '../errors.ts';

/**
 * Asks on the terminal for something that must not be seen: what is typed is shown nowhere.
 * @throws CliError `Interrupted` on Ctrl-C and Ctrl-D
 */
export async function askHidden(question: string, signal: AbortSignal): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  const left = new AbortController();
  terminal.on('SIGINT', () => left.abort()).on('close', () => left.abort());
  process.stderr.write(question);
  try {
    return await terminal.question('', { signal: AbortSignal.any([signal, left.signal]) });
  } catch (error) {
    if (!signal.aborted && !left.signal.aborted) throw error;
    throw new CliError('Interrupted', 'Interrupted.', 'Nothing was changed.');
  } finally {
    terminal.close();
    process.stderr.write('\n');
  }
}
