import type { Inventory, InventoryObject } from '@strideiq/core';
import type { Connection } from '../postgres/connect.ts';

/**
 * What the current database is made of, as `compareInventories` compares it. Left out: what the dump leaves out
 * (owners, grants, subscriptions, members of extensions, temporary objects, the tables in `excluded`) and what differs
 * between servers without being different (NOT NULL constraints, rows of pg_constraint only since 18).
 * @param excluded object ids of tables that are not dumped
 */
export async function readInventory(connection: Connection, excluded: readonly number[] = []): Promise<Inventory> {
  const { rows } = await connection.query<{ kind: string; identity: string | null; parts: string[] | null }>(
    inventorySql,
    [excluded],
  );
  // The server's naming functions see what is there now: of what was dropped since the snapshot there is no name.
  return rows.flatMap(({ kind, identity, parts }): InventoryObject[] =>
    identity === null ? [] : [parts ? { kind, identity, parts } : { kind, identity }],
  );
}

/** Each part below names objects by schema and name as quoted text, so that it does not depend on search_path. */
const inventorySql = `
WITH extension_members AS (
  SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
spaces AS (
  SELECT oid, quote_ident(nspname) AS space FROM pg_namespace n
   WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
relations AS (
  SELECT c.oid, c.relkind, c.reltype, c.reloftype, c.relpersistence, space || '.' || quote_ident(c.relname) AS name
    FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
   WHERE c.relpersistence <> 't' AND NOT c.oid::int8::float8 = ANY ($1::float8[])
     AND NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
     -- an identity column's sequence goes with its table; a serial's is dumped all the same (pg_dump.c, getOwnedSeqs)
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
                        AND c.relkind = 'S' AND d.deptype = 'i' AND d.refobjid::int8::float8 = ANY ($1::float8[]))),
columns AS (
  SELECT a.attrelid, array_agg(
           quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attnotnull AND r.relkind <> 'v' THEN ' not null' ELSE '' END
           || CASE WHEN a.attgenerated <> '' THEN ' generated' ELSE '' END
           || CASE a.attidentity WHEN 'a' THEN ' identity always' WHEN 'd' THEN ' identity by default' ELSE '' END
           || CASE WHEN a.atthasdef AND a.attgenerated = '' THEN ' default' ELSE '' END
           -- a restored child has its parents' columns first, wherever they stood
           ORDER BY CASE WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = a.attrelid) THEN a.attname END COLLATE "C", a.attnum) AS parts
    FROM pg_attribute a JOIN relations r ON r.oid = a.attrelid
   WHERE a.attnum > 0 AND NOT a.attisdropped GROUP BY a.attrelid)
SELECT 'schema' AS kind, space AS identity, NULL::text[] AS parts FROM spaces s
 WHERE space <> 'public'
   AND NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_namespace'::regclass AND m.objid = s.oid)
UNION ALL
SELECT 'extension', quote_ident(extname), NULL FROM pg_extension WHERE extname <> 'plpgsql'
UNION ALL
SELECT CASE r.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
            WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' END, r.name, coalesce(k.parts, '{}')
  FROM relations r LEFT JOIN columns k ON k.attrelid = r.oid WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f')
UNION ALL
SELECT 'inheritance', r.name, array_agg(parent.name ORDER BY i.inhseqno)
  FROM pg_inherits i JOIN relations r ON r.oid = i.inhrelid JOIN relations parent ON parent.oid = i.inhparent
 WHERE r.relkind IN ('r', 'p', 'f') GROUP BY r.name
UNION ALL
SELECT 'sequence', r.name, ARRAY[format_type(q.seqtypid, NULL)]
  FROM relations r JOIN pg_sequence q ON q.seqrelid = r.oid
UNION ALL
SELECT 'index', i.name, ARRAY['on ' || r.name, CASE WHEN x.indisunique THEN 'unique' ELSE 'not unique' END,
            (SELECT string_agg(coalesce(quote_ident(a.attname), '(expression)'), ', ' ORDER BY key.at)
               FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS key(attnum, at)
               LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = key.attnum AND key.attnum <> 0)]
  FROM pg_index x JOIN relations i ON i.oid = x.indexrelid JOIN relations r ON r.oid = x.indrelid
 WHERE x.indisvalid
UNION ALL
SELECT 'constraint', coalesce(r.name, format_type(k.contypid, NULL)) || ' ' || quote_ident(k.conname),
       ARRAY[CASE k.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' WHEN 'p' THEN 'primary key'
                  WHEN 'u' THEN 'unique' WHEN 'x' THEN 'exclusion' ELSE k.contype::text END
             || CASE WHEN k.convalidated THEN '' ELSE ' not valid' END]
       || coalesce((SELECT array_agg(quote_ident(a.attname) ORDER BY key.at)
                      FROM unnest(k.conkey) WITH ORDINALITY AS key(attnum, at)
                      JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = key.attnum
                     WHERE k.contype <> 'c'), '{}')
  FROM pg_constraint k JOIN spaces s ON s.oid = k.connamespace LEFT JOIN relations r ON r.oid = k.conrelid
 WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND (r.oid IS NOT NULL OR k.conrelid = 0)
   AND (k.conrelid <> 0 OR NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_type'::regclass AND m.objid = k.contypid))
UNION ALL
SELECT 'trigger', r.name || ' ' || quote_ident(t.tgname), ARRAY[t.tgenabled::text]
  FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'rule', r.name || ' ' || quote_ident(w.rulename), ARRAY[w.ev_type::text, w.ev_enabled::text]
  FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'
UNION ALL
SELECT 'policy', r.name || ' ' || quote_ident(p.polname), ARRAY[p.polcmd::text, p.polpermissive::text]
  FROM pg_policy p JOIN relations r ON r.oid = p.polrelid
UNION ALL
SELECT 'row security', r.name, ARRAY[c.relrowsecurity::text, c.relforcerowsecurity::text]
  FROM relations r JOIN pg_class c ON c.oid = r.oid WHERE c.relrowsecurity OR c.relforcerowsecurity
UNION ALL
SELECT CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' WHEN 'w' THEN 'window function' ELSE 'function' END,
       space || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
       ARRAY[coalesce(pg_get_function_result(p.oid), ''), l.lanname::text, p.prosecdef::text, p.provolatile::text]
  FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
 WHERE NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
   -- constructors that CREATE TYPE AS RANGE makes by itself
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
UNION ALL
SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite type'
            WHEN 'r' THEN 'range' WHEN 'm' THEN 'multirange' ELSE 'type' END,
       space || '.' || quote_ident(t.typname),
       CASE t.typtype
         WHEN 'e' THEN (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
         WHEN 'd' THEN ARRAY[format_type(t.typbasetype, t.typtypmod), t.typnotnull::text]
         WHEN 'c' THEN (SELECT array_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
                          FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
         ELSE '{}' END
  FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
 WHERE (t.typrelid = 0 OR c.relkind = 'c') AND t.typtype <> 'p'
   AND NOT EXISTS (SELECT FROM pg_type element WHERE element.typarray = t.oid)
   AND NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
UNION ALL
SELECT 'operator', space || '.' || o.oprname || '(' || coalesce(format_type(nullif(o.oprleft, 0), NULL), 'NONE') || ', '
       || coalesce(format_type(nullif(o.oprright, 0), NULL), 'NONE') || ')', NULL
  FROM pg_operator o JOIN spaces s ON s.oid = o.oprnamespace
 WHERE NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_operator'::regclass AND m.objid = o.oid)
UNION ALL
SELECT 'operator class', space || '.' || quote_ident(o.opcname) || ' using ' || am.amname, NULL
  FROM pg_opclass o JOIN spaces s ON s.oid = o.opcnamespace JOIN pg_am am ON am.oid = o.opcmethod
 WHERE NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_opclass'::regclass AND m.objid = o.oid)
UNION ALL
SELECT 'collation', space || '.' || quote_ident(c.collname), NULL FROM pg_collation c JOIN spaces s ON s.oid = c.collnamespace
 WHERE NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_collation'::regclass AND m.objid = c.oid)
UNION ALL
SELECT 'conversion', space || '.' || quote_ident(c.conname), NULL FROM pg_conversion c JOIN spaces s ON s.oid = c.connamespace
UNION ALL
SELECT 'text search configuration', space || '.' || quote_ident(c.cfgname), NULL FROM pg_ts_config c JOIN spaces s ON s.oid = c.cfgnamespace
 WHERE NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_ts_config'::regclass AND m.objid = c.oid)
UNION ALL
SELECT 'text search dictionary', space || '.' || quote_ident(d.dictname), NULL FROM pg_ts_dict d JOIN spaces s ON s.oid = d.dictnamespace
 WHERE NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_ts_dict'::regclass AND m.objid = d.oid)
UNION ALL
SELECT 'extended statistics', space || '.' || quote_ident(x.stxname), ARRAY['on ' || r.name]
  FROM pg_statistic_ext x JOIN spaces s ON s.oid = x.stxnamespace JOIN relations r ON r.oid = x.stxrelid
UNION ALL
SELECT 'cast', format_type(c.castsource, NULL) || ' as ' || format_type(c.casttarget, NULL), ARRAY[c.castcontext::text]
  FROM pg_cast c WHERE c.oid >= 16384
   AND NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_cast'::regclass AND m.objid = c.oid)
   -- the cast from a range to its multirange comes with the type
   AND NOT EXISTS (SELECT FROM pg_range g WHERE g.rngtypid = c.castsource AND g.rngmultitypid = c.casttarget)
UNION ALL
SELECT 'foreign-data wrapper', quote_ident(fdwname), NULL FROM pg_foreign_data_wrapper f
 WHERE NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_foreign_data_wrapper'::regclass AND m.objid = f.oid)
UNION ALL
SELECT 'foreign server', quote_ident(srvname), NULL FROM pg_foreign_server v
 WHERE NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_foreign_server'::regclass AND m.objid = v.oid)
UNION ALL
SELECT 'user mapping', quote_ident(usename) || ' on ' || quote_ident(srvname), NULL FROM pg_user_mappings
UNION ALL
SELECT 'event trigger', quote_ident(evtname), ARRAY[evtevent::text, evtenabled::text] FROM pg_event_trigger e
 WHERE NOT EXISTS (SELECT FROM extension_members m WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid)
UNION ALL
SELECT 'publication', quote_ident(pubname), ARRAY[puballtables::text, pubinsert::text, pubupdate::text, pubdelete::text, pubtruncate::text]
  FROM pg_publication
UNION ALL
SELECT 'publication table', quote_ident(p.pubname) || ' ' || r.name, NULL
  FROM pg_publication_rel x JOIN pg_publication p ON p.oid = x.prpubid JOIN relations r ON r.oid = x.prrelid
UNION ALL
SELECT 'large objects', 'all', ARRAY[count(*)::text] FROM pg_largeobject_metadata HAVING count(*) > 0
ORDER BY 1, 2, 3`;
