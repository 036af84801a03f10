import type { RelationName } from '@strideiq/dump';
import type { Connection } from '../postgres/connect.ts';
import { qualifiedName, quoteIdentifier } from '../postgres/identifiers.ts';

export interface Column {
  name: string;
  /** As SQL writes it, with its schema where it is not PostgreSQL's own. */
  type: string;
  /** Where it is not the type's own, as SQL writes it. */
  collation: string | null;
  /** Computed from others: it takes no values. */
  generated: boolean;
  /** GENERATED ALWAYS AS IDENTITY: UPDATE may not set it. */
  always: boolean;
}

/** A foreign key of another table, to this one or to a partition of it, that changes rows there when rows here change. */
export interface Cascade {
  name: string;
  table: RelationName;
  /** When they go; when one of `columns` is set. */
  deletes: boolean;
  updates: boolean;
  /** Those that it refers to. */
  columns: string[];
}

/** A trigger that fires, of the table or of one of its partitions. */
export interface Trigger {
  name: string;
  table: RelationName;
  /** Words that have it fire as it does. */
  enable: string;
}

/** A table, as it is in a database now. */
export interface LiveTable extends RelationName {
  /** `other`: what has no rows of its own, or partitions elsewhere. */
  kind: 'table' | 'partitioned table' | 'other';
  columns: Column[];
  /** Columns that tell its rows apart, none of which is null, each with its index's own `=`; empty where there are none. */
  key: { name: string; equals: string }[];
  /** Columns of further indexes by which no two rows may be alike: rows may have swapped such values. */
  uniqueToo: string[];
  /** Whether the role may do with it what its owner may. */
  owns: boolean;
  owner: string;
  cascades: Cascade[];
  /** Whether any foreign key refers to it. */
  isReferred: boolean;
  refersToItself: boolean;
  /** Tables that its foreign keys refer to. */
  refersTo: RelationName[];
  triggers: Trigger[];
  hasRules: boolean;
}

/** Of the table and its partitions, where `c` is the table. */
const tree = 'SELECT p.relid FROM pg_partition_tree(c.oid) AS p UNION SELECT c.oid';

/**
 * Looks at tables.
 * @returns in the order asked; undefined for those that are not there
 */
export async function readTables(
  connection: Connection,
  tables: readonly RelationName[],
): Promise<(LiveTable | undefined)[]> {
  const { rows } = await connection.query<LiveTable>(
    `SELECT n.nspname::text AS schema, c.relname::text AS name,
            CASE WHEN c.relkind = 'r' THEN 'table'
                 WHEN c.relkind = 'p' AND NOT EXISTS (SELECT FROM pg_class f WHERE f.relkind = 'f' AND f.oid IN (${tree})) THEN 'partitioned table'
                 ELSE 'other' END AS kind,
            pg_has_role(c.relowner, 'USAGE') AS owns, pg_get_userbyid(c.relowner)::text AS owner,
            (SELECT coalesce(json_agg(json_build_object(
                      'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'generated', a.attgenerated <> '',
                      'always', a.attidentity = 'a',
                      'collation', CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN format('%I.%I', cn.nspname, co.collname) END)
                    ORDER BY a.attnum), '[]')
               FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation co ON co.oid = a.attcollation
                    LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
            -- a plain B-tree whose every column is given, never null, and compared as the column itself is
            (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'equals', format('OPERATOR(%I.%s)', en.nspname, e.oprname)) ORDER BY k.at), '[]')
               FROM (SELECT i.indkey, i.indclass, i.indnkeyatts
                       FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam AND am.amname = 'btree'
                      WHERE i.indrelid = c.oid AND i.indisunique AND NOT i.indisexclusion AND i.indisvalid AND i.indimmediate
                        AND i.indpred IS NULL AND i.indexprs IS NULL
                        AND NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) AS x (at)
                                          JOIN pg_attribute xa ON xa.attrelid = c.oid AND xa.attnum = i.indkey[x.at]
                                         WHERE NOT xa.attnotnull OR xa.attgenerated <> '' OR i.indcollation[x.at] <> xa.attcollation)
                      ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) AS first
                    CROSS JOIN generate_series(0, first.indnkeyatts - 1) AS k (at)
                    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = first.indkey[k.at]
                    JOIN pg_opclass o ON o.oid = first.indclass[k.at]
                    JOIN pg_amop m ON m.amopfamily = o.opcfamily AND m.amoplefttype = o.opcintype AND m.amoprighttype = o.opcintype AND m.amopstrategy = 3
                    JOIN pg_operator e ON e.oid = m.amopopr JOIN pg_namespace en ON en.oid = e.oprnamespace) AS key,
            (SELECT coalesce(json_agg(DISTINCT a.attname), '[]')
               FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND (i.indexprs IS NOT NULL OR a.attnum = ANY (i.indkey::int2[]))
              WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS "uniqueToo",
            (SELECT coalesce(json_agg(json_build_object('name', f.conname, 'table', json_build_object('schema', fn.nspname, 'name', fc.relname),
                      'deletes', f.confdeltype IN ('c', 'n', 'd'), 'updates', f.confupdtype IN ('c', 'n', 'd'),
                      'columns', (SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = f.confrelid AND a.attnum = ANY (f.confkey))) ORDER BY f.conname), '[]')
               FROM pg_constraint f JOIN pg_class fc ON fc.oid = f.conrelid JOIN pg_namespace fn ON fn.oid = fc.relnamespace
              WHERE f.contype = 'f' AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd'))
                AND f.conrelid NOT IN (${tree}) AND f.confrelid IN (${tree})
                -- those of partitions stand for themselves only where their root's is another's
                AND NOT EXISTS (SELECT FROM pg_constraint up WHERE up.oid = f.conparentid AND up.confrelid IN (${tree}))) AS cascades,
            EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid IN (${tree})) AS "isReferred",
            EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid IN (${tree}) AND f.conrelid IN (${tree})) AS "refersToItself",
            (SELECT coalesce(json_agg(json_build_object('schema', rn.nspname, 'name', rc.relname)), '[]')
               FROM pg_constraint f JOIN pg_class rc ON rc.oid = f.confrelid JOIN pg_namespace rn ON rn.oid = rc.relnamespace
              WHERE f.contype = 'f' AND f.conrelid IN (${tree}) AND f.confrelid <> c.oid) AS "refersTo",
            (SELECT coalesce(json_agg(json_build_object('name', g.tgname, 'table', json_build_object('schema', gn.nspname, 'name', gc.relname),
                      'enable', CASE g.tgenabled WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END)), '[]')
               FROM pg_trigger g JOIN pg_class gc ON gc.oid = g.tgrelid JOIN pg_namespace gn ON gn.oid = gc.relnamespace
              WHERE g.tgrelid IN (${tree}) AND g.tgenabled <> 'D' AND (NOT g.tgisinternal OR g.tgparentid <> 0)
                AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.oid = g.tgconstraint AND k.contype <> 't')) AS triggers,
            c.relhasrules AND EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1') AS "hasRules"
       FROM unnest($1::text[], $2::text[]) AS asked (schema, name)
       JOIN pg_namespace n ON n.nspname = asked.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = asked.name
      WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')`,
    [tables.map(({ schema }) => schema), tables.map(({ name }) => name)],
  );
  const byName = new Map(rows.map((table) => [qualifiedName(table.schema, table.name), table]));
  return tables.map(({ schema, name }) => byName.get(qualifiedName(schema, name)));
}

/** A table's own rows, as SQL names them: of a partitioned one those of its partitions, of others no child's. */
export function rowsOf({ schema, name, kind }: LiveTable): string {
  return kind === 'partitioned table' ? qualifiedName(schema, name) : `ONLY ${qualifiedName(schema, name)}`;
}

/** Those that take values. */
export function givenColumns({ columns }: LiveTable): string[] {
  return columns.filter(({ generated }) => !generated).map(({ name }) => quoteIdentifier(name));
}
