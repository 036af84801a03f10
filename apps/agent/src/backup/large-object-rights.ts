import type { Connection } from '../postgres/connect.ts';

/**
 * Statements that give large objects their owners and grants. `pg_dump --schema-only` holds none of them, with
 * `--blobs` neither: it counts them as data (pg_backup_archiver.c, _tocEntryRequired). Objects with equal rights share
 * a statement, so that a million of them stay a few megabytes.
 * @returns SQL in UTF-8 that ends with a newline; empty where there are none
 */
export async function largeObjectRights(connection: Connection): Promise<string> {
  const { rows } = await connection.query<{ sql: string }>(rightsSql);
  return rows.length === 0 ? '' : `SET client_encoding = 'UTF8';\n${rows.map((row) => `${row.sql}\n`).join('')}`;
}

/** No access list means what the owner has by default; one is given anew from nothing, in the order in which it stands. */
const rightsSql = `
WITH objects AS (
  SELECT lomowner AS owner, lomacl::text::aclitem[] AS acl, string_agg(oid::text, ', ' ORDER BY oid) AS oids
    FROM pg_largeobject_metadata GROUP BY lomowner, lomacl::text)
SELECT format('DO %L;', format('DECLARE o oid; BEGIN FOREACH o IN ARRAY %L::oid[] LOOP EXECUTE format(%L, o); END LOOP; END',
              '{' || oids || '}', 'ALTER LARGE OBJECT %s OWNER TO ' || quote_ident(pg_get_userbyid(owner)))) AS sql,
       1 AS step, 0::bigint AS at, oids
  FROM objects
UNION ALL
SELECT format('REVOKE ALL ON LARGE OBJECT %s FROM %I;', oids, pg_get_userbyid(owner)), 2, 0, oids FROM objects WHERE acl IS NOT NULL
UNION ALL
SELECT format('GRANT %s ON LARGE OBJECT %s TO %s%s;', item.privilege_type, oids,
              CASE item.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(item.grantee)) END,
              CASE WHEN item.is_grantable AND item.grantee <> owner THEN ' WITH GRANT OPTION' ELSE '' END), 3, item.at, oids
  FROM objects, aclexplode(acl) WITH ORDINALITY AS item(grantor, grantee, privilege_type, is_grantable, at)
ORDER BY step, oids, at`;
