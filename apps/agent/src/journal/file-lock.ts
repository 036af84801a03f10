import Database from 'better-sqlite3';
import { AgentError } from '../errors.ts';

/**
 * A lock that a process of whichever container holds for as long as it has this object in use, and that the kernel lets go of
 * when it ends, in whatever way: SQLite's own on a file, since Node has no other.
 */
export class FileLock {
  readonly #lock: Database.Database;

  private constructor(lock: Database.Database) {
    this.#lock = lock;
  }

  /**
   * @param waitMs for somebody who only looks whether it is held
   * @returns undefined where somebody holds it
   * @throws AgentError `StateUnusable`
   */
  static take(file: string, waitMs = 0): FileLock | undefined {
    let lock: Database.Database | undefined;
    try {
      lock = new Database(file, { timeout: waitMs });
      lock.exec('BEGIN EXCLUSIVE');
      return new FileLock(lock);
    } catch (cause) {
      lock?.close();
      if (cause instanceof Database.SqliteError && cause.code.startsWith('SQLITE_BUSY')) return undefined;
      throw new AgentError(
        'StateUnusable',
        `The lock ${file} cannot be used: ${(cause as Error).message}.`,
        'It holds nothing: while no strideiq-agent runs, remove it. It must belong to the user that the agent runs as.',
        { cause },
      );
    }
  }

  /** Whether somebody holds it. @throws AgentError `StateUnusable` */
  static isHeld(file: string): boolean {
    const lock = FileLock.take(file);
    lock?.release();
    return lock === undefined;
  }

  release(): void {
    this.#lock.close();
  }
}
