import type { RelationName } from '@strideiq/dump';
import type { Connection } from '../postgres/connect.ts';

/**
 * Gathers the planner's statistics of the whole database, several tables at a time, the largest first. A partitioned
 * table's takes its partitions along.
 * @param analyzed tables whose statistics are there already
 */
export async function analyze(connections: readonly Connection[], analyzed: readonly RelationName[]): Promise<void> {
  const [first] = connections;
  if (!first) return;
  const { rows } = await first.query<{ name: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE NOT c.relispartition AND c.relpersistence <> 't'
        AND NOT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS done (schema, name)
                         WHERE done.schema = n.nspname AND done.name = c.relname)
        AND (c.relkind IN ('r', 'p') OR (c.relkind = 'm' AND c.relispopulated))
      ORDER BY CASE c.relkind WHEN 'p' THEN (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(c.oid))
                 ELSE pg_total_relation_size(c.oid) END DESC NULLS LAST`,
    [analyzed.map(({ schema }) => schema), analyzed.map(({ name }) => name)],
  );
  // A name that is no text cannot be sent back: the server then goes through all tables by itself.
  if (rows.some(({ name }) => name.includes('\u{FFFD}'))) {
    await first.query('ANALYZE');
    return;
  }
  const left = rows.values();
  await Promise.all(
    connections.map(async (connection) => {
      for (const { name } of left) await connection.query(`ANALYZE ${name}`);
    }),
  );
}
