import Database from 'better-sqlite3';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DatabaseInUse, DatabaseNewer, openDatabase, whileClosed } from './open-database.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-sqlite-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A folder as drizzle-kit writes it, with one migration for each statement. */
function migrations(name: string, statements: string[]): string {
  const folder = join(directory, name);
  mkdirSync(join(folder, 'meta'), { recursive: true });
  const entries = statements.map((sql, idx) => {
    writeFileSync(join(folder, `${idx}.sql`), sql);
    return { idx, version: '6', when: idx + 1, tag: String(idx), breakpoints: true };
  });
  writeFileSync(join(folder, 'meta/_journal.json'), JSON.stringify({ version: '7', dialect: 'sqlite', entries }));
  return folder;
}

const first =
  'CREATE TABLE parent (id integer PRIMARY KEY);--> statement-breakpoint\nCREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parent(id) ON DELETE CASCADE);';
const rebuild =
  'CREATE TABLE new_parent (id integer PRIMARY KEY, name text);--> statement-breakpoint\nINSERT INTO new_parent SELECT id, NULL FROM parent;--> statement-breakpoint\nDROP TABLE parent;--> statement-breakpoint\nALTER TABLE new_parent RENAME TO parent;';

const open = (migrationsFolder: string) =>
  openDatabase({ file: join(directory, 'a.db'), schema: {}, migrationsFolder });

test('a table that a migration rebuilds keeps its rows and its children', () => {
  const before = open(migrations('v1', [first]));
  before.$client.exec('INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1, 1), (2, 2), (3, 2)');
  before.$client.close();
  const after = open(migrations('v2', [first, rebuild]));
  expect(after.$client.prepare('SELECT count(*) AS n FROM child').get()).toEqual({ n: 3 });
  expect(after.$client.pragma('synchronous', { simple: true })).toBe(2);
  expect(after.$client.pragma('foreign_keys', { simple: true })).toBe(1);
  after.$client.close();
});

test.each([
  ['fails', 'CREATE TABLE child (id integer);'],
  ['leaves rows that refer to nothing', 'DELETE FROM parent WHERE id = 2;'],
])('a migration that %s leaves the database as it was', (_, second) => {
  const before = open(migrations('v1', [first]));
  before.$client.exec('INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (2, 2)');
  before.$client.close();
  const bytes = readFileSync(join(directory, 'a.db'));
  expect(() => open(migrations('v2', [first, second]))).toThrow(/Failed to run|refer to nothing/);
  expect(readFileSync(join(directory, 'a.db'))).toEqual(bytes);
});

test('a database of a newer program is refused', () => {
  open(migrations('v2', [first, rebuild])).$client.close();
  expect(() => open(migrations('v1', [first]))).toThrow(DatabaseNewer);
});

test('a process that has the database open is not robbed of it by a migration', async () => {
  const v1 = migrations('v1', [first]);
  const v2 = migrations('v2', [first, rebuild]);
  const program = `
    import { openDatabase } from ${JSON.stringify(join(import.meta.dirname, 'open-database.ts'))};
    const db = openDatabase({ file: ${JSON.stringify(join(directory, 'a.db'))}, schema: {}, migrationsFolder: ${JSON.stringify(v1)} });
    process.stdout.write('open');
    process.stdin.once('data', () => {
      db.$client.exec('INSERT INTO parent VALUES (7)');
      db.$client.close();
      process.exit(0);
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const other = openElsewhere(v2);
  await other.begun;
  child.stdin.write('go');
  expect(await other.ended).toBe('begun[{"id":7}]');
});

test('a first start goes on once another process has made the database, though that one has it open', async () => {
  const v1 = migrations('v1', [first]);
  const made = openDatabase({ file: join(directory, 'elsewhere.db'), schema: {}, migrationsFolder: v1 });
  made.$client.exec('INSERT INTO parent VALUES (7)');
  made.$client.close();
  // As the other process holds it while it makes the database, and for as long as it runs.
  const lock = new Database(join(directory, 'migration.lock'));
  lock.exec('BEGIN; SELECT count(*) FROM sqlite_master');
  const second = openElsewhere(v1);
  await second.begun;
  // So that it has found none; where it is slower, it finds the one that is there by then.
  await delay(500);
  renameSync(join(directory, 'elsewhere.db'), join(directory, 'a.db'));
  expect(await second.ended).toBe('begun[{"id":7}]');
  lock.close();
});

/** Another process that opens the same database, and says what it has found in it. */
function openElsewhere(migrationsFolder: string): { begun: Promise<void>; ended: Promise<string> } {
  const program = `
    import { openDatabase } from ${JSON.stringify(join(import.meta.dirname, 'open-database.ts'))};
    process.stdout.write('begun');
    const db = openDatabase({ file: ${JSON.stringify(join(directory, 'a.db'))}, schema: {}, migrationsFolder: ${JSON.stringify(migrationsFolder)} });
    process.stdout.write(JSON.stringify(db.$client.prepare('SELECT id FROM parent').all()));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'pipe'] });
  const begun = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
  return { begun, ended: Promise.all([text(child.stdout), text(child.stderr)]).then((said) => said.join('')) };
}

test('its files are touched only while no process has it open', () => {
  const database = open(migrations('v1', [first]));
  const file = join(directory, 'a.db');
  expect(() => whileClosed(file, () => 'touched')).toThrow(DatabaseInUse);
  database.$client.close();
  expect(whileClosed(file, () => 'touched')).toBe('touched');
  open(migrations('v1', [first])).$client.close();
});
