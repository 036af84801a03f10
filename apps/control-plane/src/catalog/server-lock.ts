import Database from 'better-sqlite3';
import { join } from 'node:path';
import { ControlPlaneError } from '../errors.ts';
import { unusable } from './open-catalog.ts';

/**
 * Held by the one server of a data directory: of two, each would take the other's agents for gone, and keep for itself
 * what it is asked for them. The kernel lets go of it when its process ends, in whatever way.
 */
export class ServerLock {
  readonly #lock: Database.Database;

  /** @throws ControlPlaneError `CatalogInUse`, `DataUnusable` */
  constructor(dataDir: string) {
    let lock: Database.Database | undefined;
    try {
      // SQLite's own lock on a file, since Node has no other that the kernel lets go of.
      lock = new Database(join(dataDir, 'server.lock'), { timeout: 0 });
      lock.exec('BEGIN EXCLUSIVE');
    } catch (cause) {
      lock?.close();
      throw (cause as { code?: string }).code === 'SQLITE_BUSY' ? inUse(dataDir, cause) : unusable(dataDir, cause);
    }
    this.#lock = lock;
  }

  release(): void {
    this.#lock.close();
  }
}

function inUse(dataDir: string, cause: unknown): ControlPlaneError {
  return new ControlPlaneError(
    'CatalogInUse',
    `Another control plane serves the catalog in ${dataDir}.`,
    'One is enough. Stop that one first, or give this one another data directory by STRIDEIQ_DATA_DIR.',
    { cause },
  );
}
