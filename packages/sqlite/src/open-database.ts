import Database from 'better-sqlite3';
import { drizzle, type BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

export type SqliteDatabase<Schema extends Record<string, unknown>> = BetterSQLite3Database<Schema> & {
  $client: Database.Database;
};

export interface OpenOptions<Schema extends Record<string, unknown>> {
  /** The database; its folder is there and belongs to this program alone. */
  file: string;
  schema: Schema;
  /** Where drizzle-kit writes what leads from each version to the next. */
  migrationsFolder: string;
}

/** How long an opening waits for another process that migrates, and a migration for those that have the database open. */
const lockTimeoutMs = 60_000;

/** How long one try of a migration to be alone takes: whoever has the database open may be the one that migrated it. */
const tryAloneMs = 250;

/**
 * Opens a database, making and migrating it where needed. WAL and synchronous=FULL: what was written is there after a
 * power cut. Several processes of one version may have it open at a time.
 * @throws DatabaseNewer, DatabaseInUse where a process of an older version has it open, the system's or SQLite's error;
 *   the file is then as it was
 */
export function openDatabase<Schema extends Record<string, unknown>>({
  file,
  schema,
  migrationsFolder,
}: OpenOptions<Schema>): SqliteDatabase<Schema> {
  const lock = new Database(lockFileOf(file), { timeout: lockTimeoutMs });
  try {
    migrateWhereBehind(lock, file, migrationsFolder);
    // Held for as long as the database is open: whoever writes to it would write to a file that a migration replaced.
    lock.exec('BEGIN');
    lock.prepare('SELECT count(*) FROM sqlite_master').get();
    const client = new Database(file, { timeout: 30_000 });
    client.pragma('journal_mode = WAL');
    client.pragma('synchronous = FULL');
    client.pragma('foreign_keys = ON');
    const close = client.close.bind(client);
    client.close = () => {
      lock.close();
      return close();
    };
    return drizzle(client, { schema });
  } catch (error) {
    lock.close();
    throw error;
  }
}

/**
 * Of several processes that find it behind at the same time one migrates it. The others find it migrated, though that one
 * has it open by then, and for as long as it runs.
 * @throws DatabaseInUse
 */
function migrateWhereBehind(lock: Database.Database, file: string, migrationsFolder: string): void {
  const until = performance.now() + lockTimeoutMs;
  while (isBehind(file, migrationsFolder)) {
    lock.pragma(`busy_timeout = ${tryAloneMs}`);
    try {
      alone(lock, () => migrateOnCopy(file, migrationsFolder));
    } catch (error) {
      if (!(error instanceof DatabaseInUse) || performance.now() >= until) throw error;
    }
  }
  lock.pragma(`busy_timeout = ${lockTimeoutMs}`);
}

/**
 * Does something to the files of a database while no process has it open, and none can open it.
 * @throws DatabaseInUse at once, where one has
 */
export function whileClosed<Result>(file: string, work: () => Result): Result {
  const lock = new Database(lockFileOf(file), { timeout: 0 });
  try {
    return alone(lock, work);
  } finally {
    lock.close();
  }
}

function lockFileOf(file: string): string {
  return join(dirname(file), 'migration.lock');
}

/** One process at a time, and none that has it open: SQLite's own lock on a file, which the kernel lets go of when its holder dies. */
function alone<Result>(lock: Database.Database, work: () => Result): Result {
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    throw new DatabaseInUse({ cause });
  }
  try {
    return work();
  } finally {
    lock.exec('ROLLBACK');
  }
}

/** Another process has the database open. */
export class DatabaseInUse extends Error {
  constructor(options?: ErrorOptions) {
    super('another program has it open; stop that one, and then start this again', options);
    this.name = 'DatabaseInUse';
  }
}

/** The database is of a newer program, whose tables this one does not know. */
export class DatabaseNewer extends Error {
  constructor() {
    super('it was written by a newer version of this program');
    this.name = 'DatabaseNewer';
  }
}

function isBehind(file: string, migrationsFolder: string): boolean {
  if (!existsSync(file)) return true;
  const present = new Database(file, { timeout: 30_000 });
  try {
    return migrationsPending(present, migrationsFolder);
  } finally {
    present.close();
  }
}

/**
 * Migrates a copy and puts it in place only when it is whole: a migration that fails leaves the database as it was.
 * Foreign keys are off while it runs, since a table that drizzle rebuilds would take its children with it.
 */
function migrateOnCopy(file: string, migrationsFolder: string): void {
  const copy = `${file}.migrating`;
  for (const end of ['', '-wal', '-shm']) rmSync(copy + end, { force: true });
  if (existsSync(file)) {
    const present = new Database(file, { timeout: 30_000 });
    try {
      if (!migrationsPending(present, migrationsFolder)) return;
      present.prepare('VACUUM INTO ?').run(copy);
    } finally {
      present.close();
    }
  }
  const client = new Database(copy);
  try {
    client.pragma('foreign_keys = OFF');
    migrate(drizzle(client), { migrationsFolder });
    const broken = client.pragma('foreign_key_check') as unknown[];
    if (broken.length > 0) throw new Error(`the migration left ${broken.length} rows that refer to nothing`);
  } finally {
    client.close();
  }
  renameSync(copy, file);
  for (const end of ['-wal', '-shm']) rmSync(file + end, { force: true });
}

/** @throws DatabaseNewer */
function migrationsPending(client: Database.Database, migrationsFolder: string): boolean {
  const applied = client
    .prepare("SELECT count(*) AS tables FROM sqlite_master WHERE name = '__drizzle_migrations'")
    .get() as { tables: number };
  if (applied.tables === 0) return true;
  const { done } = client.prepare('SELECT count(*) AS done FROM __drizzle_migrations').get() as { done: number };
  const known = readMigrationFiles({ migrationsFolder }).length;
  if (done > known) throw new DatabaseNewer();
  return done < known;
}
