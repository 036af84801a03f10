import { DatabaseInUse, DatabaseNewer, makeOwnDirectory, openDatabase, type SqliteDatabase } from '@strideiq/sqlite';
import { chmodSync, existsSync } from 'node:fs';
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
    makeOwnDirectory(dataDir);
    closeToOthers(dataDir);
    return openDatabase({ file: join(dataDir, catalogFile), schema, migrationsFolder });
  } catch (cause) {
    throw unusable(dataDir, cause);
  }
}

/**
 * The catalog's file, for whoever works beside a server: a key or a token in a new catalog, made where no server looks,
 * would be of no use to anyone.
 * @throws ControlPlaneError `NotFound`
 */
export function catalogFileIn(dataDir: string): string {
  const file = join(dataDir, catalogFile);
  if (existsSync(file)) return file;
  throw new ControlPlaneError(
    'NotFound',
    `There is no catalog in ${dataDir}.`,
    'Name the data directory that `serve` uses, by STRIDEIQ_DATA_DIR, --data-dir or --config; its first start makes the catalog.',
  );
}

/** A directory that somebody else owns and lends us stays as it is; the files in it are ours alone all the same. */
function closeToOthers(directory: string): void {
  try {
    chmodSync(directory, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
  }
}

/** What is wrong with a data directory, by what opening something in it has thrown. */
export function unusable(dataDir: string, cause: unknown): ControlPlaneError {
  const file = join(dataDir, catalogFile);
  if (cause instanceof DatabaseNewer) {
    return new ControlPlaneError(
      'DataUnusable',
      `The catalog ${file} was written by a newer version of the control plane.`,
      'Start that version, or put back a copy of the catalog that is older: strideiq-control-plane catalog restore FILE',
      { cause },
    );
  }
  if (cause instanceof DatabaseInUse) {
    return new ControlPlaneError(
      'DataUnusable',
      `The catalog ${file} is of an older version, and a program of that version has it open.`,
      'Stop that one first: the catalog is brought up to date while nobody uses it.',
      { cause },
    );
  }
  return new ControlPlaneError(
    'DataUnusable',
    `The data directory ${dataDir} cannot be used: ${(cause as Error).message}.`,
    'It must be a folder that this user may write to; name another one by STRIDEIQ_DATA_DIR or dataDir.',
    { cause },
  );
}
