import type { TableRows } from '@strideiq/core';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { qualifiedName } from '../postgres/identifiers.ts';

/** Counts the rows that a dump's COPYs of each table must have left. */
export class RowCounter {
  readonly #connection: Connection;
  readonly #copied: ReadonlySet<string>;
  readonly #hidden: string[] = [];

  /** @param copied the tables that the dump copies */
  constructor(connection: Connection, copied: readonly TableRows[]) {
    this.#connection = connection;
    this.#copied = new Set(copied.map(({ schema, name }) => qualifiedName(schema, name)));
  }

  async begin(): Promise<void> {
    await this.#connection.query('SET row_security = off');
  }

  /**
   * Of the table alone, without its children. A partitioned table has no rows of its own: what was copied into it
   * stands in those partitions that the dump does not copy by themselves (pg_dump loads through the root where rows
   * could belong to another partition on another server: hashes of an enum, `--load-via-partition-root`).
   * @returns undefined where the role may not see all rows: `notes` then says so
   */
  async rowsOf(schema: string, name: string): Promise<number | undefined> {
    try {
      return await this.#count(schema, name);
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === '42P01' || error.code === '3F000')) {
        throw new AgentError(
          'RowCountsDiffer',
          `${schema}.${name} was loaded, and is not in the restored database: the dump itself undoes it.`,
          'The new database was dropped. Look what stands in the dump, a BEGIN without COMMIT or a DROP, and who wrote it.',
        );
      }
      // 42501 with row_security off: a policy forced on its owner, who is not one to look behind it.
      if (!(error instanceof Error && 'code' in error && error.code === '42501')) throw error;
      this.#hidden.push(`${schema}.${name}`);
      return undefined;
    }
  }

  /** Tables that could not be counted. */
  get hidden(): readonly string[] {
    return this.#hidden;
  }

  async #count(schema: string, name: string): Promise<number> {
    const { rows } = await this.#connection.query<{ schema: string; name: string }>(
      `SELECT n.nspname AS schema, c.relname AS name
         FROM pg_class r JOIN pg_namespace s ON s.oid = r.relnamespace,
              pg_partition_tree(r.oid) AS part JOIN pg_class c ON c.oid = part.relid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE r.relkind = 'p' AND s.nspname = $1 AND r.relname = $2 AND part.isleaf AND c.relkind = 'r'`,
      [schema, name],
    );
    if (rows.length === 0) return countOnly(this.#connection, schema, name);
    let sum = 0;
    for (const leaf of rows.filter((each) => !this.#copied.has(qualifiedName(each.schema, each.name)))) {
      sum += await countOnly(this.#connection, leaf.schema, leaf.name);
    }
    return sum;
  }
}

/** What is to be said of tables that could not be counted. */
export function hiddenNotes(counters: readonly RowCounter[]): string[] {
  const hidden = counters.flatMap((counter) => counter.hidden);
  if (hidden.length === 0) return [];
  return [
    `The restoring role may not see all rows of ${hidden.join(', ')} (row-level security is forced on their owner): what PostgreSQL said it took was compared there.`,
  ];
}

/** What stands for bytes that are no text, in names of a database without an encoding (SQL_ASCII). */
const undecoded = '\u{FFFD}';

async function countOnly(connection: Connection, schema: string, name: string): Promise<number> {
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
