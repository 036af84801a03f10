import { openDatabase } from '@strideiq/sqlite';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Journal } from './journal.ts';
import { openJournal, type JournalDatabase } from './open-journal.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-migration-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const folder = join(import.meta.dirname, 'migrations');
interface Migrations {
  entries: { idx: number; tag: string }[];
}
const { entries } = JSON.parse(readFileSync(join(folder, 'meta/_journal.json'), 'utf8')) as Migrations;

/** The journal as a program of an earlier version made it. */
function openVersion(last: number): Pick<JournalDatabase, '$client'> {
  const migrationsFolder = join(directory, `up-to-${last}`);
  cpSync(folder, migrationsFolder, { recursive: true });
  const kept = { version: '7', dialect: 'sqlite', entries: entries.filter(({ idx }) => idx <= last) };
  writeFileSync(join(migrationsFolder, 'meta/_journal.json'), JSON.stringify(kept));
  return openDatabase({ file: join(directory, 'journal.db'), schema: {}, migrationsFolder });
}

interface TableInfo {
  name: string;
  type: string;
}

/** Something for every column of every table, twice; tables that refer to others come after them. */
function fill({ $client }: Pick<JournalDatabase, '$client'>): void {
  for (const table of tablesOf($client)) {
    const columns = $client.pragma(`table_info(${table})`) as TableInfo[];
    for (const row of [1, 2]) {
      const values = columns.map(({ name, type }) => {
        // Of the reports that stand there.
        if (name === 'last_seq') return 2;
        if (type === 'INTEGER') return row;
        if (type === 'blob') return Buffer.from(`${row}`);
        return name === 'id' || name === 'run_id' ? `run-${row}` : JSON.stringify({ [name]: row });
      });
      $client.prepare(`INSERT INTO ${table} VALUES (${columns.map(() => '?').join(', ')})`).run(values);
    }
  }
}

function tablesOf(client: JournalDatabase['$client']): string[] {
  const sql = `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite_%' ORDER BY rowid`;
  return (client.prepare(sql).all() as { name: string }[]).map(({ name }) => name);
}

test.each(entries.slice(0, -1))('a journal of $tag keeps every row of every table', ({ idx }) => {
  const before = openVersion(idx);
  fill(before);
  const tables = tablesOf(before.$client);
  expect(tables.length).toBeGreaterThan(0);
  const rows = tables.map((table) => before.$client.prepare(`SELECT * FROM ${table}`).all());
  before.$client.close();

  const after = openJournal(directory);
  for (const [at, table] of tables.entries()) {
    const kept = after.$client.prepare(`SELECT * FROM ${table}`).all();
    expect({ table, kept }).toEqual({ table, kept: rows[at]?.map((row) => expect.objectContaining(row as object)) });
  }
  // And it works: the migrated one takes what this version writes.
  const journal = new Journal(after, Date.now);
  const { lastSeq } = journal.outbox.position();
  journal.outbox.write('log', { runId: '0197f2a0-0000-7000-8000-000000000000', lines: [] });
  expect(journal.outbox.position().lastSeq).toBe(lastSeq + 1);
  journal.close();
});
