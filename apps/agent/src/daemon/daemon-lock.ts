import { codeOf } from '@strideiq/core';
import Database from 'better-sqlite3';
import { join } from 'node:path';
import { AgentError } from '../errors.ts';

/** Held by the daemon of a state directory; the kernel lets go of it when its process ends, in whatever way. */
export class DaemonLock {
  readonly #lock: Database.Database;

  /** @throws AgentError `DaemonRunning`, `StateUnusable` */
  constructor(stateDir: string) {
    // SQLite's own lock on a file, since Node has no other that the kernel lets go of.
    const file = join(stateDir, 'daemon.lock');
    let lock: Database.Database | undefined;
    try {
      lock = new Database(file, { timeout: 0 });
      lock.exec('BEGIN EXCLUSIVE');
    } catch (cause) {
      lock?.close();
      throw isBusy(cause) ? running(stateDir, cause) : unusable(file, cause);
    }
    this.#lock = lock;
  }

  release(): void {
    this.#lock.close();
  }
}

/**
 * Whether a daemon works with that state directory just now.
 * @throws AgentError `StateUnusable`
 */
export function isDaemonRunning(stateDir: string): boolean {
  try {
    new DaemonLock(stateDir).release();
    return false;
  } catch (error) {
    if (codeOf(error) === 'DaemonRunning') return true;
    throw error;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
}

function running(stateDir: string, cause: unknown): AgentError {
  return new AgentError(
    'DaemonRunning',
    `Another \`strideiq-agent run\` works with the state directory ${stateDir}.`,
    'One is enough. Stop that one first, or give this one another `stateDir`.',
    { cause },
  );
}

function unusable(file: string, cause: unknown): AgentError {
  return new AgentError(
    'StateUnusable',
    `The lock ${file} cannot be used: ${(cause as Error).message}.`,
    'It holds nothing: while no daemon runs, remove it. It must belong to the user that the agent runs as.',
    { cause },
  );
}
