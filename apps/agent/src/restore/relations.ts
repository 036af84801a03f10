import { relationKey, type RelationName } from '@strideiq/dump';
import type { Connection } from '../postgres/connect.ts';

/** A relation as pre-data has made it. */
export interface Relation extends RelationName {
  kind: 'table' | 'partitioned table' | 'foreign table' | 'materialized view';
  /** The same for all relations of one partitioned table. */
  family: string;
  /** In PostgreSQL's own table format, as COPY FREEZE needs it. */
  heap: boolean;
  /** Others inherit from it, by hand: what is said of it is said of them too. */
  inherited: boolean;
  /** The extension made it, filled it, and may have bound it to others. */
  fromExtension: boolean;
}

/** What a plan needs to know of the database that is filled. */
export interface MadeObjects {
  /** By `relationKey`. */
  relations: ReadonlyMap<string, Relation>;
  /** By `relationKey`. */
  enums: ReadonlySet<string>;
}

/** Reads what pre-data has made; over a connection in UTF-8. */
export async function readMadeObjects(connection: Connection): Promise<MadeObjects> {
  const { rows } = await connection.query<Relation>(
    `SELECT n.nspname AS schema, c.relname AS name, coalesce(pg_partition_root(c.oid)::oid, c.oid)::text AS family,
            CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table' ELSE 'materialized view' END AS kind,
            coalesce(a.amname = 'heap', false) AS heap,
            c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) AS inherited,
            EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS "fromExtension"
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am a ON a.oid = c.relam
      WHERE c.relkind IN ('r', 'p', 'f', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`,
  );
  const enums = await connection.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, t.typname AS name FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'e'`,
  );
  return {
    relations: new Map(rows.map((relation) => [relationKey(relation), relation])),
    enums: new Set(enums.rows.map(relationKey)),
  };
}
