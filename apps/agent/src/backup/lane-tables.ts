import type { Connection } from '../postgres/connect.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';

/** A table whose rows lanes read, as the snapshot sees it. */
export interface LaneTable {
  /** For people: qualified and quoted. */
  name: string;
  /** The pattern by which pg_dump leaves its rows out, and nothing else. */
  pattern: string;
  /** `COPY schema.table (columns) FROM stdin;` with its newline; like everything below in the database's own encoding. */
  header: Buffer;
  /** Qualified and quoted, as statements name it. */
  relation: Buffer;
  /** Quoted, in their order; generated ones are computed anew when the dump is loaded. */
  columns: Buffer;
  /** Heap and TOAST. */
  sizeBytes: number;
  /** Of the heap. */
  pages: number;
}

/** Which tables are large enough, and how many may be taken. */
export interface LaneTableLimits {
  leastBytes: number;
  most: number;
  /** Object ids of tables that are dumped without rows, or not at all. */
  withoutRows: readonly number[];
  /** Unlogged tables are empty there. */
  standby: boolean;
}

/**
 * The large tables whose rows we can read as pg_dump would, largest first: ordinary ones of the heap. All others are
 * pg_dump's, and so is every table that leaves a doubt: those of extensions, those whose rows a policy hides, partitions
 * that pg_dump writes into their root (pg_dump.c, getPartitioningInfo), and names whose bytes a command line may not keep.
 *
 * Only tables that the connection has locked are looked at: asking for the size of another could wait for its lock.
 */
export async function readLaneTables(connection: Connection, limits: LaneTableLimits): Promise<LaneTable[]> {
  const { leastBytes, most, withoutRows, standby } = limits;
  const { rows } = await connection.query<Omit<LaneTable, 'pattern'> & { schema: string; relname: string }>(tablesSql, [
    leastBytes,
    most,
    withoutRows,
    standby,
  ]);
  return rows.map(({ schema, relname, ...table }) => ({ ...table, pattern: patternOf(schema, relname) }));
}

/** Inside double quotes psql's patterns know no wildcard (psql, "Patterns"). */
function patternOf(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

const tablesSql = `
WITH spelled AS (SELECT pg_encoding_to_char(encoding) AS encoding FROM pg_database WHERE datname = current_database()),
ours AS (
  SELECT c.oid, c.reltoastrelid, n.nspname, c.relname,
         quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS relation,
         coalesce((SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '') AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am m ON m.oid = c.relam
    JOIN pg_locks l ON l.relation = c.oid AND l.locktype = 'relation' AND l.pid = pg_backend_pid() AND l.granted
     AND l.mode = 'AccessShareLock' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   WHERE c.relkind = 'r' AND m.amname = 'heap' AND (c.relpersistence = 'p' OR c.relpersistence = 'u' AND NOT $4)
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT c.oid::int8::float8 = ANY ($3::float8[])
     AND NOT (c.relrowsecurity AND row_security_active(c.oid))
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     AND NOT EXISTS (SELECT FROM pg_partition_ancestors(c.oid) AS a JOIN pg_partitioned_table p ON p.partrelid = a.relid
                      WHERE (SELECT o.oid FROM pg_opclass o JOIN pg_am h ON h.oid = o.opcmethod
                              WHERE o.opcname = 'enum_ops' AND o.opcnamespace = 'pg_catalog'::regnamespace
                                AND h.amname = 'hash') = ANY (p.partclass))
     AND ((SELECT encoding FROM spelled) = 'UTF8' OR n.nspname || c.relname ~ '^[ -~]*$')),
sized AS (
  SELECT ours.*, pg_relation_size(oid) AS heap, coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0) AS toast FROM ours)
SELECT relation AS name, nspname::text AS schema, relname::text AS relname,
       convert_to('COPY ' || relation || ' ' || CASE columns WHEN '' THEN '' ELSE '(' || columns || ')' END || ' FROM stdin;'
                  || chr(10), encoding) AS header,
       convert_to(relation, encoding) AS relation, convert_to(columns, encoding) AS columns,
       (heap + toast)::float8 AS "sizeBytes", (heap / current_setting('block_size')::int)::float8 AS pages
  FROM sized, spelled
 WHERE heap + toast >= $1::float8
 ORDER BY heap + toast DESC, oid LIMIT $2::int`;
