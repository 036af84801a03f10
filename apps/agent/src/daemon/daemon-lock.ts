import Database from 'better-sqlite3';
import { join } from 'node:path';
import { AgentError } from '../errors.ts';

/** Held by the daemon of a state directory; the kernel lets go of it when its process ends, in whatever way. */
export class DaemonLock {
  readonly #lock: Database.Database;

  /** @throws AgentError `DaemonRunning` */
  constructor(stateDir: string) {
    this.#lock = open(stateDir);
    try {
      this.#lock.exec('BEGIN EXCLUSIVE');
    } catch (cause) {
      this.#lock.close();
      throw new AgentError(
        'DaemonRunning',
        `Another \`strideiq-agent run\` works with the state directory ${stateDir}.`,
        'One is enough. Stop that one first, or give this one another `stateDir`.',
        { cause },
      );
    }
  }

  release(): void {
    this.#lock.close();
  }
}

/** Whether a daemon works with that state directory just now. */
export function isDaemonRunning(stateDir: string): boolean {
  try {
    new DaemonLock(stateDir).release();
    return false;
  } catch (error) {
    if (error instanceof AgentError) return true;
    throw error;
  }
}

/** SQLite's own lock on a file, since Node has no other that the kernel lets go of. */
function open(stateDir: string): Database.Database {
  return new Database(join(stateDir, 'daemon.lock'), { timeout: 0 });
}
