import { DatabaseInUse, makeOwnDirectory, whileClosed } from '@strideiq/sqlite';
import Database from 'better-sqlite3';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { brokenAuditEntry } from '../audit/audit.ts';
import { ControlPlaneError } from '../errors.ts';
import { catalogFile, catalogFileIn, openCatalog, type Catalog } from './open-catalog.ts';

/**
 * Writes the catalog as it is at this moment into one file, also while a server works on it.
 * @throws ControlPlaneError `NotFound` without a catalog, `AlreadyExists` for a file that is there, `DataUnusable`
 */
export function backupCatalog(dataDir: string, target: string): void {
  const source = catalogFileIn(dataDir);
  if (existsSync(target)) throw taken(target);
  const partial = `${target}.${process.pid}.partial`;
  try {
    // Empty, SQLite writes into it; made here, it is this user's alone from the first byte.
    closeSync(openSync(partial, 'wx', 0o600));
    const client = new Database(source, { readonly: true, timeout: 30_000 });
    try {
      client.prepare('VACUUM INTO ?').run(partial);
    } finally {
      client.close();
    }
    syncFile(partial);
    // Not by a rename: a file that appeared meanwhile is somebody else's.
    linkSync(partial, target);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw taken(target);
    throw new ControlPlaneError(
      'DataUnusable',
      `The catalog cannot be written to ${target}: ${(cause as Error).message}.`,
      'Name a file in a folder that this user may write to, with room for it.',
      { cause },
    );
  } finally {
    rmSync(partial, { force: true });
  }
}

/** What a catalog that was put back has in it, and where the one before went. */
export interface RestoredCatalog {
  /** Undefined where there was none. */
  replaced: string | undefined;
  /** Where the audit was changed, if it was; its owner should know. */
  brokenAuditSeq: number | undefined;
}

/**
 * Puts a catalog back from a file, as the whole of it: it is looked through, brought up to date and durable before it
 * takes the place of the one that is there, which stays beside it.
 * @throws ControlPlaneError `NotFound`, `CatalogInUse`, `CatalogInvalid`, `DataUnusable`
 */
export async function restoreCatalog(dataDir: string, source: string, now: number): Promise<RestoredCatalog> {
  if (!existsSync(source)) {
    throw new ControlPlaneError('NotFound', `There is no file ${source}.`, 'Name one that `catalog backup` has made.');
  }
  makeOwnDirectory(dataDir);
  const aside = mkdtempSync(join(resolve(dataDir), 'restoring-'));
  try {
    const candidate = join(aside, catalogFile);
    copyFileSync(source, candidate);
    // With the file came its mode: a copy may be kept read-only.
    chmodSync(candidate, 0o600);
    const brokenAuditSeq = await examine(candidate, source);
    syncFile(candidate);
    const target = join(dataDir, catalogFile);
    const replaced = whileNobodyUses(target, () => swap(candidate, target, now));
    return { replaced, brokenAuditSeq };
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/** Sees whether it is a whole catalog that this program understands, and brings it up to date. */
async function examine(candidate: string, source: string): Promise<number | undefined> {
  const problem = problemOf(candidate);
  if (problem !== undefined) throw invalid(source, problem);
  const catalog = openCandidate(candidate, source);
  try {
    const broken = await brokenAuditEntry(catalog);
    // All of it into the one file that is moved.
    catalog.$client.pragma('journal_mode = DELETE');
    return broken;
  } finally {
    catalog.$client.close();
  }
}

function problemOf(candidate: string): string | undefined {
  try {
    const client = new Database(candidate, { fileMustExist: true });
    try {
      const found = client.pragma('integrity_check(1)', { simple: true });
      if (found !== 'ok') return String(found);
      const tables = client
        .prepare("SELECT count(*) FROM sqlite_master WHERE name IN ('__drizzle_migrations', 'agents', 'audit')")
        .pluck()
        .get();
      return tables === 3 ? undefined : 'it is a SQLite file, and no catalog of the control plane';
    } finally {
      client.close();
    }
  } catch (cause) {
    return (cause as Error).message;
  }
}

function openCandidate(candidate: string, source: string): Catalog {
  try {
    return openCatalog(dirname(candidate));
  } catch (error) {
    const { cause } = error as Error;
    throw invalid(source, (cause instanceof Error ? cause : (error as Error)).message, error);
  }
}

function invalid(source: string, problem: string, cause?: unknown): ControlPlaneError {
  return new ControlPlaneError(
    'CatalogInvalid',
    `${source} cannot be put back: ${problem}.`,
    'Nothing was changed. Take another copy, or a control plane of the version that wrote it.',
    { cause },
  );
}

/**
 * A second name for the one that is there, and then the new one over the first: a start after a kill in between finds a
 * catalog, where it would make an empty one if it found none.
 */
function swap(candidate: string, target: string, now: number): string | undefined {
  let replaced: string | undefined;
  if (existsSync(target)) {
    foldLog(target);
    const stamp = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '');
    replaced = `${target}.replaced-${stamp}`;
    if (existsSync(replaced)) throw taken(replaced);
    linkSync(target, replaced);
  }
  for (const end of ['-wal', '-shm']) rmSync(target + end, { force: true });
  renameSync(candidate, target);
  syncFile(dirname(target));
  return replaced;
}

/** What a killed server left in the log belongs into the file that is kept. A file that is no database is kept as it is. */
function foldLog(target: string): void {
  try {
    const client = new Database(target);
    try {
      client.pragma('journal_mode = DELETE');
    } finally {
      client.close();
    }
  } catch {
    // Broken: that is why another one is put in its place.
  }
}

function whileNobodyUses<Result>(target: string, work: () => Result): Result {
  try {
    return whileClosed(target, work);
  } catch (cause) {
    if (!(cause instanceof DatabaseInUse)) throw cause;
    throw new ControlPlaneError(
      'CatalogInUse',
      `The catalog ${target} is open in a control plane that runs.`,
      'Stop it first; start it again when the catalog is back.',
      { cause },
    );
  }
}

function taken(file: string): ControlPlaneError {
  return new ControlPlaneError('AlreadyExists', `${file} is there already.`, 'Name another file, or take it away.');
}

function syncFile(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
