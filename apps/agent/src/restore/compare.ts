import { compareInventories, type InventoryObject, type Manifest, type TableRows } from '@strideiq/core';
import { AgentError } from '../errors.ts';
import { readInventory } from '../inventory/read-inventory.ts';
import type { Connection } from '../postgres/connect.ts';
import { qualifiedName } from '../postgres/identifiers.ts';
import type { ReportProgress } from '../progress/progress.ts';
import type { About } from './left-out.ts';
import { hiddenNotes, RowCounter } from './row-counter.ts';
import { isOfSelection, type Selection } from './selection.ts';

/** A table's rows in the backup and in the restored database. */
export interface ComparedTable {
  schema: string;
  name: string;
  expected: number;
  found: number;
}

/**
 * Counts every table of the restored database and compares with what the dump held: with the manifest where there is
 * one, else with what was loaded.
 * @param connections several, to count several tables at a time
 * @param loaded rows as PostgreSQL's COPY tags told them
 * @param notes gets what could not be counted
 * @throws AgentError `RowCountsDiffer` naming the tables
 */
export async function compareRows(
  connections: readonly Connection[],
  expected: readonly TableRows[],
  loaded: readonly TableRows[],
  progress: ReportProgress,
  notes: string[],
): Promise<ComparedTable[]> {
  const [first] = connections;
  const members = first ? await extensionTables(first) : new Set<string>();
  const tags = new Map(loaded.map((table) => [qualifiedName(table.schema, table.name), table.rows]));
  const compared = new Map<TableRows, ComparedTable>();
  const counters = connections.map((connection) => new RowCounter(connection, expected));
  const left = expected.toSorted((a, b) => b.rows - a.rows).values();
  await Promise.all(
    counters.map(async (counter) => {
      await counter.begin();
      for (const asked of left) {
        const { schema, name, rows } = asked;
        const table = qualifiedName(schema, name);
        progress({ phase: 'comparing', table: `${schema}.${name}` });
        // An extension fills its tables by itself too: there only what was loaded can be compared.
        const taken = tags.get(table) ?? 0;
        const counted = members.has(table) ? taken : ((await counter.rowsOf(schema, name)) ?? taken);
        compared.set(asked, { schema, name, expected: rows, found: taken === rows ? counted : taken });
      }
    }),
  );
  notes.push(...hiddenNotes(counters));
  const tables = expected.map((asked) => compared.get(asked)).filter((table) => table !== undefined);
  const wrong = tables.filter((table) => table.expected !== table.found);
  if (wrong.length === 0) return tables;
  const list = wrong
    .slice(0, 5)
    .map((table) => `${table.schema}.${table.name} has ${table.found} of ${table.expected}`);
  throw new AgentError(
    'RowCountsDiffer',
    `The restored database does not hold the backup's rows: ${list.join(', ')}${wrong.length > 5 ? ` and ${wrong.length - 5} more` : ''}.`,
    'The new database was dropped. Verify the backup, and restore from another copy or an older backup.',
  );
}

async function extensionTables(connection: Connection): Promise<Set<string>> {
  const { rows } = await connection.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name
       FROM pg_depend d JOIN pg_class c ON c.oid = d.objid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND c.relkind IN ('r', 'p')`,
  );
  return new Set(rows.map(({ schema, name }) => qualifiedName(schema, name)));
}

/**
 * Compares what the database is made of with the manifest's inventory.
 * @param selection of a part that was restored alone; only what belongs to it is compared
 * @param isThere whether something was not left out
 * @throws AgentError `InventoryDiffers` naming the objects
 */
export async function compareObjects(
  connection: Connection,
  manifest: Manifest,
  selection: Selection | undefined,
  isThere: (about: About) => boolean,
): Promise<number> {
  const belongs = (object: InventoryObject): boolean => {
    const { kind, identity } = object;
    if (kind === 'extension' && !isThere({ toc: { type: 'EXTENSION', name: identity } })) return false;
    return !selection || isOfSelection(object, selection);
  };
  const expected = manifest.inventory.filter(belongs);
  const differences = compareInventories(expected, (await readInventory(connection)).filter(belongs));
  if (differences.length === 0) return expected.length;
  const list = differences.slice(0, 5).map((one) => {
    const how = one.what === 'different' ? `: ${one.found} where the backup has ${one.expected}` : '';
    return `${one.kind} ${one.identity} is ${one.what}${how}`;
  });
  throw new AgentError(
    'InventoryDiffers',
    `The restored database is not made of what the backup was: ${list.join('; ')}${differences.length > 5 ? `; and ${differences.length - 5} more` : ''}.`,
    'The new database was dropped. A dump of another server version or a missing extension can be the cause; restore to a server like the source.',
  );
}
