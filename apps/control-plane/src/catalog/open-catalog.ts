import { openDatabase, type SqliteDatabase } from '@strideiq/sqlite';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ControlPlaneError } from '../errors.ts';
import * as schema from './schema.ts';

export type Catalog = SqliteDatabase<typeof schema>;
/** What a transaction of the catalog hands to its callback. */
export type CatalogTransaction = Parameters<Parameters<Catalog['transaction']>[0]>[0];

export const migrationsFolder = join(import.meta.dirname, 'migrations');

/** The catalog's file in the data directory. */
export const catalogFile = 'catalog.db';

/**
 * Opens the catalog in `dataDir`, making and migrating it where needed.
 * @throws ControlPlaneError `DataUnusable`
 */
export function openCatalog(dataDir: string): Catalog {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    chmodSync(dataDir, 0o700);
    return openDatabase({ file: join(dataDir, catalogFile), schema, migrationsFolder });
  } catch (cause) {
    throw new ControlPlaneError(
      'DataUnusable',
      `The data directory ${dataDir} cannot be used: ${(cause as Error).message}.`,
      'It must be a folder that this user may write to; name another one by STRIDEIQ_DATA_DIR or dataDir.',
      { cause },
    );
  }
}
