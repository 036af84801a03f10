import { compareInventories, type Manifest, type TableRows } from '@strideiq/core';
import { AgentError } from '../errors.ts';
import { readInventory } from '../inventory/read-inventory.ts';
import type { Connection } from '../postgres/connect.ts';
import { qualifiedName } from '../postgres/identifiers.ts';
import type { ReportProgress } from '../progress/progress.ts';

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
 * @param loaded rows as PostgreSQL's COPY tags told them
 * @throws AgentError `RowCountsDiffer` naming the tables
 */
export async function compareRows(
  connection: Connection,
  expected: readonly TableRows[],
  loaded: readonly TableRows[],
  progress: ReportProgress,
): Promise<ComparedTable[]> {
  const members = await extensionTables(connection);
  const tags = new Map(loaded.map((table) => [qualifiedName(table.schema, table.name), table.rows]));
  const compared: ComparedTable[] = [];
  await connection.query('SET row_security = off');
  for (const { schema, name, rows } of expected) {
    const table = qualifiedName(schema, name);
    progress({ phase: 'comparing', table: `${schema}.${name}` });
    // An extension fills its tables by itself too: there only what was loaded can be compared.
    const taken = tags.get(table) ?? 0;
    const counted = members.has(table) ? taken : await countRows(connection, schema, name);
    compared.push({ schema, name, expected: rows, found: taken === rows ? counted : taken });
  }
  const wrong = compared.filter((table) => table.expected !== table.found);
  if (wrong.length === 0) return compared;
  const list = wrong
    .slice(0, 5)
    .map((table) => `${table.schema}.${table.name} has ${table.found} of ${table.expected}`);
  throw new AgentError(
    'RowCountsDiffer',
    `The restored database does not hold the backup's rows: ${list.join(', ')}${wrong.length > 5 ? ` and ${wrong.length - 5} more` : ''}.`,
    'The new database was dropped. Verify the backup, and restore from another copy or an older backup.',
  );
}

/** What stands for bytes that are no text, in names of a database without an encoding (SQL_ASCII). */
const undecoded = '\u{FFFD}';

async function countRows(connection: Connection, schema: string, name: string): Promise<number> {
  if (`${schema}${name}`.includes(undecoded)) return countUnnamed(connection, schema, name);
  const { rows } = await connection.query<{ rows: number }>(
    `SELECT count(*)::float8 AS rows FROM ONLY ${qualifiedName(schema, name)}`,
  );
  return rows[0]?.rows ?? 0;
}

/** A name that we cannot send back: the server puts it into the query itself. Names that read alike count together. */
async function countUnnamed(connection: Connection, schema: string, name: string): Promise<number> {
  const listed = await connection.query<{ oid: string; schema: string; name: string }>(
    `SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'`,
  );
  let sum = 0;
  for (const { oid } of listed.rows.filter((table) => table.schema === schema && table.name === name)) {
    await connection.query(
      `DO $$ DECLARE found bigint; BEGIN
         EXECUTE 'SELECT count(*) FROM ONLY ' || ${oid}::regclass INTO found;
         PERFORM set_config('strideiq.rows', found::text, false);
       END $$`,
    );
    const { rows } = await connection.query<{ rows: number }>(
      "SELECT current_setting('strideiq.rows')::float8 AS rows",
    );
    sum += rows[0]?.rows ?? 0;
  }
  return sum;
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
 * @throws AgentError `InventoryDiffers` naming the objects
 */
export async function compareObjects(connection: Connection, manifest: Manifest): Promise<number> {
  const differences = compareInventories(manifest.inventory, await readInventory(connection));
  if (differences.length === 0) return manifest.inventory.length;
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
