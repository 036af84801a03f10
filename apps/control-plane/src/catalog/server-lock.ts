import Database from 'better-sqlite3';
import { join } from 'node:path';
import { ControlPlaneError } from '../errors.ts';

/**
 * Held by the one server of a data directory: of two, each would take the other's agents for gone, and keep for itself
 * what it is asked for them. The kernel lets go of it when its process ends, in whatever way.
 */
export class ServerLock {
  readonly #lock: Database.Database;

  /** @throws ControlPlaneError `CatalogInUse` */
  constructor(dataDir: string) {
    // SQLite's own lock on a file, since Node has no other that the kernel lets go of.
    this.#lock = new Database(join(dataDir, 'server.lock'), { timeout: 0 });
    try {
      this.#lock.exec('BEGIN EXCLUSIVE');
    } catch (cause) {
      this.#lock.close();
      throw new ControlPlaneError(
        'CatalogInUse',
        `Another control plane serves the catalog in ${dataDir}.`,
        'One is enough. Stop that one first, or give this one another data directory by STRIDEIQ_DATA_DIR.',
        { cause },
      );
    }
  }

  release(): void {
    this.#lock.close();
  }
}
