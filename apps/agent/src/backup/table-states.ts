import type { Connection } from '../postgres/connect.ts';

/** What must not change between a snapshot and pg_dump's lock on a table: its name, its file, its columns. */
export interface TableState {
  /** Qualified and quoted. */
  name: string;
  /** Equal where nothing of it has changed. */
  state: string;
}

/**
 * Every ordinary table and partition by object id, as the connection's own transaction sees them. The file, since a
 * TRUNCATE or a rewrite leaves the old one empty to every older snapshot; the name, since pg_dump locks and copies by
 * name and another table may bear it by then; the columns, since COPY names them.
 * @param leftOut object ids of tables that are not dumped
 */
export async function readTableStates(
  connection: Connection,
  leftOut: readonly number[],
): Promise<Map<number, TableState>> {
  const { rows } = await connection.query<TableState & { oid: number }>(
    `SELECT c.oid::int8::float8 AS oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
            md5(concat_ws(' ', quote_ident(n.nspname), quote_ident(c.relname), c.relfilenode, columns.text)) AS state
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
            LATERAL (SELECT string_agg(concat_ws(' ', a.attnum, quote_ident(a.attname), a.atttypid, a.attisdropped), ',' ORDER BY a.attnum) AS text
                       FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0) AS columns
      WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT c.oid::int8::float8 = ANY ($1::float8[])`,
    [leftOut],
  );
  return new Map(rows.map(({ oid, name, state }) => [oid, { name, state }]));
}
