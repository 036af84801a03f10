import { openDatabase } from '@strideiq/sqlite';
import { getTableColumns, getTableName, is } from 'drizzle-orm';
import { SQLiteTable } from 'drizzle-orm/sqlite-core';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { rowsOf, type TableRows } from '../testing/tables.ts';
import { migrationsFolder, type Catalog } from './open-catalog.ts';
import * as schema from './schema.ts';

interface Entry {
  idx: number;
  version: string;
  when: number;
  tag: string;
  breakpoints: boolean;
}

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-migrations-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const journalOf = (folder: string) =>
  JSON.parse(readFileSync(join(folder, 'meta/_journal.json'), 'utf8')) as { entries: Entry[] };

/** The migrations of an earlier version: the first so many of them, and what is made up on top. */
function folderWith(name: string, count: number, ...more: string[]): string {
  const folder = join(directory, name);
  cpSync(migrationsFolder, folder, { recursive: true });
  const { entries, ...journal } = journalOf(folder);
  const kept = entries.slice(0, count);
  const made = more.map((sql, at): Entry => {
    const idx = kept.length + at;
    writeFileSync(join(folder, `made-up-${idx}.sql`), sql);
    return { idx, version: '6', when: (kept.at(-1)?.when ?? 0) + at + 1, tag: `made-up-${idx}`, breakpoints: true };
  });
  writeFileSync(join(folder, 'meta/_journal.json'), JSON.stringify({ ...journal, entries: [...kept, ...made] }));
  return folder;
}

const open = (folder: string): Catalog =>
  openDatabase({ file: join(directory, 'catalog.db'), schema, migrationsFolder: folder });

/** Columns that hold JSON, as `table.column`; an earlier version's may be gone. */
const jsonColumns = new Set(
  Object.values(schema)
    .filter((each) => is(each, SQLiteTable))
    .flatMap((table) =>
      Object.values(getTableColumns(table))
        .filter(({ dataType }) => dataType === 'json')
        .map(({ name }) => `${getTableName(table)}.${name}`),
    ),
);

const rowsOfEach = 3;

/** Puts rows into every table, whatever its columns are, parents before children. */
function fill(catalog: Catalog): void {
  const client = catalog.$client;
  const left = new Set(Object.keys(rowsOf(catalog)));
  while (left.size > 0) {
    const table = [...left].find((name) =>
      parentsOf(catalog, name).every(({ table }) => table === name || !left.has(table)),
    );
    if (table === undefined) throw new Error(`tables refer to each other in a circle: ${[...left].join(', ')}`);
    left.delete(table);
    const columns = client.pragma(`table_info("${table}")`) as { name: string; type: string }[];
    const names = columns.map(({ name }) => `"${name}"`).join(', ');
    const insert = client.prepare(`INSERT INTO "${table}" (${names}) VALUES (${columns.map(() => '?').join(', ')})`);
    for (let row = 1; row <= rowsOfEach; row++) {
      insert.run(
        ...columns.map(({ name, type }) => {
          const parent = parentsOf(catalog, table).find(({ from }) => from === name);
          if (parent) {
            return client
              .prepare(`SELECT "${parent.to}" FROM "${parent.table}" LIMIT 1 OFFSET ?`)
              .pluck()
              .get(row - 1);
          }
          if (jsonColumns.has(`${table}.${name}`)) return JSON.stringify([`${name} ${row}`]);
          return type.toLowerCase() === 'integer' ? row : `${table} ${name} ${row}`;
        }),
      );
    }
  }
}

function parentsOf(catalog: Catalog, table: string): { from: string; table: string; to: string }[] {
  return catalog.$client.pragma(`foreign_key_list("${table}")`) as { from: string; table: string; to: string }[];
}

/** What the way from one folder's last version to the other's does to a filled catalog: tables whose rows are fewer or others. */
function harmOf(from: string, to: string): string[] {
  const before = open(from);
  fill(before);
  const old = rowsOf(before);
  before.$client.close();
  const after = open(to);
  const now = rowsOf(after);
  after.$client.close();
  return Object.keys(old).filter((table) => !isKept(old[table] ?? [], now[table] ?? []));
}

/** By the columns that both have: a migration may add some, take one away, or fill in what is new. */
function isKept(old: TableRows[string], now: TableRows[string]): boolean {
  const shared = Object.keys(now[0] ?? {}).filter((column) => column in (old[0] ?? {}));
  const textOf = (rows: TableRows[string]) =>
    rows.map((row) => JSON.stringify(shared.map((column) => row[column]))).toSorted((a, b) => (a < b ? -1 : 1));
  return shared.length > 0 && JSON.stringify(textOf(old)) === JSON.stringify(textOf(now));
}

const { entries } = journalOf(migrationsFolder);

describe('a catalog of every earlier version', () => {
  test.each(entries.map(({ tag }, at) => ({ tag, count: at + 1 })))('keeps every row from $tag on', ({ count }) => {
    expect(harmOf(folderWith('before', count), migrationsFolder)).toEqual([]);
  });
});

describe('this test', () => {
  const harmOfNext = (...sql: string[]) =>
    harmOf(folderWith('before', entries.length), folderWith('after', entries.length, ...sql));

  test('fills every table there is', () => {
    const catalog = open(migrationsFolder);
    fill(catalog);
    const counts = Object.entries(rowsOf(catalog)).map(([table, rows]) => [table, rows.length]);
    expect(counts).toEqual(Object.keys(rowsOf(catalog)).map((table) => [table, rowsOfEach]));
    expect(counts.length).toBeGreaterThanOrEqual(15);
    catalog.$client.close();
  });

  test.each([
    ['takes rows', 'DELETE FROM run_log WHERE seq = 1', ['run_log']],
    ['changes them', "UPDATE backups SET state = 'failed'", ['backups']],
    ['drops a table', 'DROP TABLE journals', ['journals']],
  ])('notices a migration that %s', (_, sql, harmed) => {
    expect(harmOfNext(sql)).toEqual(harmed);
  });

  test('lets one pass that adds a column, or makes a table anew as drizzle does, its children with it', () => {
    const rebuilt = [
      'CREATE TABLE `__new_environments` (`name` text PRIMARY KEY NOT NULL, `created_at` integer NOT NULL, `note` text)',
      'INSERT INTO `__new_environments`("name", "created_at") SELECT "name", "created_at" FROM `environments`',
      'DROP TABLE `environments`',
      'ALTER TABLE `__new_environments` RENAME TO `environments`',
    ];
    expect(harmOfNext('ALTER TABLE `runs` ADD `note` text', rebuilt.join(';--> statement-breakpoint\n'))).toEqual([]);
  });
});
