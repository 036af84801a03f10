import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  const other = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { openDatabase } from ${JSON.stringify(join(import.meta.dirname, 'open-database.ts'))};
       process.stdout.write('begun');
       const db = openDatabase({ file: ${JSON.stringify(join(directory, 'a.db'))}, schema: {}, migrationsFolder: ${JSON.stringify(v2)} });
       process.stdout.write(JSON.stringify(db.$client.prepare('SELECT id FROM parent').all()));`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let said = '';
  other.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = new Promise((resolve) => other.once('exit', resolve));
  await new Promise((resolve) => other.stdout.once('data', resolve));
  child.stdin.write('go');
  await ended;
  expect(said).toBe('begun[{"id":7}]');
});

test('its files are touched only while no process has it open', () => {
  const database = open(migrations('v1', [first]));
  const file = join(directory, 'a.db');
  expect(() => whileClosed(file, () => 'touched')).toThrow(DatabaseInUse);
  database.$client.close();
  expect(whileClosed(file, () => 'touched')).toBe('touched');
  open(migrations('v1', [first])).$client.close();
});
