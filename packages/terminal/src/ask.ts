import { createInterface } from 'node:readline/promises';

/** Whether somebody sits there who can be asked. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/**
 * Asks on the terminal.
 * @returns what was typed, trimmed; undefined on Ctrl-C and Ctrl-D, and when the signal aborts
 */
export async function ask(question: string, signal: AbortSignal): Promise<string | undefined> {
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
