import Database from 'better-sqlite3';
import { drizzle, type BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../errors.ts';
import * as schema from './schema.ts';
import { makeStateDirectory } from './state-directory.ts';

export type JournalDatabase = BetterSQLite3Database<typeof schema> & { $client: Database.Database };

const migrationsFolder = join(import.meta.dirname, 'migrations');

/**
 * Opens the journal in `stateDir`, making and migrating it where needed. WAL and synchronous=FULL: what was written is
 * there after a power cut.
 * @throws AgentError `StateUnusable`
 */
export function openJournal(stateDir: string): JournalDatabase {
  try {
    makeStateDirectory(stateDir);
    const file = join(stateDir, 'journal.db');
    alone(stateDir, () => migrateOnCopy(file));
    return open(file);
  } catch (cause) {
    throw new AgentError(
      'StateUnusable',
      `The state directory ${stateDir} cannot be used: ${(cause as Error).message}.`,
      'It must be a folder that this user may write to; name another one as `stateDir` in agent.yaml or by --state-dir.',
      { cause },
    );
  }
}

function open(file: string): JournalDatabase {
  const client = new Database(file, { timeout: 30_000 });
  client.pragma('journal_mode = WAL');
  client.pragma('synchronous = FULL');
  client.pragma('foreign_keys = ON');
  return drizzle(client, { schema });
}

/** One process at a time: SQLite's own lock on a file, which the kernel lets go of when its holder dies. */
function alone(stateDir: string, work: () => void): void {
  const lock = new Database(join(stateDir, 'migration.lock'), { timeout: 60_000 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
    work();
  } finally {
    lock.close();
  }
}

/**
 * Migrates a copy and puts it in place only when it is whole: a migration that fails leaves the journal as it was.
 * Foreign keys are off while it runs, since a table that drizzle rebuilds would take its children with it.
 */
function migrateOnCopy(file: string): void {
  const copy = `${file}.migrating`;
  for (const end of ['', '-wal', '-shm']) rmSync(copy + end, { force: true });
  if (existsSync(file)) {
    const present = new Database(file, { timeout: 30_000 });
    try {
      if (!migrationsPending(present)) return;
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

function migrationsPending(client: Database.Database): boolean {
  const applied = client
    .prepare("SELECT count(*) AS tables FROM sqlite_master WHERE name = '__drizzle_migrations'")
    .get() as { tables: number };
  if (applied.tables === 0) return true;
  const { done } = client.prepare('SELECT count(*) AS done FROM __drizzle_migrations').get() as { done: number };
  return done < readMigrationFiles({ migrationsFolder }).length;
}
