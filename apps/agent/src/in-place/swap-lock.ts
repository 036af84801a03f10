import { join } from 'node:path';
import { AgentError } from '../errors.ts';
import { FileLock } from '../journal/file-lock.ts';

/** Where a state directory holds it. */
export function swapLockFile(stateDir: string, databaseId: string): string {
  return join(stateDir, `swap-${databaseId}.lock`);
}

/**
 * Work that hands names on, or drops what has lost its own: one at a time of a database, by whichever process of this host.
 * @throws AgentError `RestoreAlreadyRunning`, `StateUnusable`
 */
export async function aloneAtNames<T>(
  { stateDir, databaseId, database }: { stateDir: string; databaseId: string; database: string },
  work: () => Promise<T>,
): Promise<T> {
  const lock = FileLock.take(swapLockFile(stateDir, databaseId), 250);
  if (!lock) {
    throw new AgentError(
      'RestoreAlreadyRunning',
      `A restore in place of ${database}, or what takes one back, is under way on this host.`,
      'Nothing was done. Try again when it has ended; `strideiq runs` and the agent’s log show how far it is.',
    );
  }
  try {
    return await work();
  } finally {
    lock.release();
  }
}
