import type pg from 'pg';
import type { PostgresCluster } from '../postgres/cluster.ts';
import { quoteIdent } from '../postgres/identifiers.ts';

/** What a relation holds, whatever the order of its rows. */
export interface TableFingerprint {
  /** Number of rows; of the relation itself only, not of those that inherit from it. */
  rows: number;
  /** Sum of a hash of each row's text, over the columns by name; as text, since it passes 2^53. */
  checksum: string;
}

/** Everything that a database holds besides its schema, by quoted name; two are equal where `toEqual` says so. */
export interface DatabaseFingerprint {
  /** Tables, partitions and filled materialised views; in place of partitions that a restore may deal anew, their root. */
  tables: Record<string, TableFingerprint>;
  /** `last_value/is_called` by sequence. */
  sequences: Record<string, string>;
  /** MD5 of the content and the comment, by oid. */
  largeObjects: Record<string, string>;
}

interface Relation {
  name: string;
  kind: string;
  columns: string[];
}

/** Partitions by the hash of an enum, which is that of an oid: the same rows may lie elsewhere once restored. As in pg_dump's getPartitioningInfo. */
const hashesEnum = `(SELECT o.oid FROM pg_opclass AS o JOIN pg_am AS m ON m.oid = o.opcmethod
  WHERE o.opcname = 'enum_ops' AND o.opcnamespace = 'pg_catalog'::regnamespace AND m.amname = 'hash') = ANY (partclass)`;

/** Relations and columns of the user; temporary and unlogged ones count too, foreign tables hold nothing of ours. */
const relations = `
  WITH dealt AS (SELECT partrelid AS oid FROM pg_partitioned_table WHERE ${hashesEnum})
  SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind AS kind,
    coalesce(array_agg(a.attname::text ORDER BY a.attname COLLATE "C") FILTER (WHERE a.attnum > 0 AND NOT a.attisdropped), '{}') AS columns
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid
  WHERE CASE c.relkind
      WHEN 'p' THEN c.oid IN (SELECT pg_partition_root(oid) FROM dealt)
      WHEN 'r' THEN NOT EXISTS (SELECT FROM pg_partition_ancestors(c.oid) AS a JOIN dealt ON dealt.oid = a.relid)
      WHEN 'm' THEN c.relispopulated
      ELSE c.relkind = 'S' END
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
  GROUP BY n.nspname, c.relname, c.relkind, c.oid
  ORDER BY 1`;

/** Texts that do not depend on the session or on the version of the server. */
const settings = `
  SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 3;
  SET bytea_output = 'hex'; SET search_path = ''; SET row_security = off; SET lc_monetary = 'C'; SET statement_timeout = 0`;

/** Reads the whole database once. */
export async function fingerprint(cluster: PostgresCluster, database: string): Promise<DatabaseFingerprint> {
  const client = await cluster.connect(database);
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    await client.query(settings);
    const found = await client.query<Relation>(relations);
    const result: DatabaseFingerprint = { tables: {}, sequences: {}, largeObjects: await largeObjectsOf(client) };
    for (const relation of found.rows) {
      if (relation.kind === 'S') result.sequences[relation.name] = await sequenceOf(client, relation.name);
      else result.tables[relation.name] = await tableOf(client, relation);
    }
    return result;
  } finally {
    await client.end();
  }
}

async function sequenceOf(client: pg.Client, name: string): Promise<string> {
  const { rows } = await client.query<{ state: string }>(`SELECT last_value || '/' || is_called AS state FROM ${name}`);
  return rows[0]?.state ?? '';
}

async function tableOf(client: pg.Client, { name, kind, columns }: Relation): Promise<TableFingerprint> {
  // Columns by name: where they stand may differ after a restore. A record's text tells NULL from an empty string.
  const record = `ROW(${columns.map((column) => `t.${quoteIdent(column)}`).join(', ')})::text`;
  const checksum = `coalesce(sum(hashtextextended(${record}, 0)), 0)::text`;
  const sql = `SELECT count(*)::int AS rows, ${checksum} AS checksum FROM ${kind === 'p' ? '' : 'ONLY '}${name} AS t`;
  const { rows } = await client.query<TableFingerprint>(sql);
  return rows[0] ?? { rows: 0, checksum: '0' };
}

async function largeObjectsOf(client: pg.Client): Promise<Record<string, string>> {
  const sql = `SELECT oid::text AS oid, md5(lo_get(oid)) || coalesce(' ' || obj_description(oid, 'pg_largeobject'), '') AS content
    FROM pg_largeobject_metadata ORDER BY oid`;
  const { rows } = await client.query<{ oid: string; content: string }>(sql);
  return Object.fromEntries(rows.map(({ oid, content }) => [oid, content]));
}
