import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';

/** What the manifest says of the server and the database. */
export interface ServerFacts {
  database: string;
  user: string;
  version: string;
  versionNumber: number;
  major: number;
  encoding: string;
  collate: string;
  ctype: string;
  localeProvider: string;
  icuLocale: string | null;
  standby: boolean;
  databaseBytes: number;
  indexBytes: number;
  /** Null before 14. */
  toastCompression: string | null;
}

/** Reads them; indexes of the database's own tables only. */
export async function readServerFacts(connection: Connection): Promise<ServerFacts> {
  const { rows: versions } = await connection.query<{ number: number }>(
    "SELECT current_setting('server_version_num')::int AS number",
  );
  const number = versions[0]?.number ?? 0;
  // pg_database.daticulocale came with 15 and was renamed in 17; datlocprovider came with 15.
  const provider = number >= 150_000 ? 'd.datlocprovider::text' : "'c'::text";
  const icu = number >= 170_000 ? 'd.datlocale' : number >= 150_000 ? 'd.daticulocale' : 'NULL::text';
  const { rows } = await connection.query<ServerFacts>(
    `SELECT d.datname AS database, current_user::text AS user, current_setting('server_version') AS version,
            current_setting('server_version_num')::int AS "versionNumber",
            current_setting('server_version_num')::int / 10000 AS major,
            pg_encoding_to_char(d.encoding)::text AS encoding, d.datcollate::text AS collate, d.datctype::text AS ctype,
            ${provider} AS "localeProvider", ${icu} AS "icuLocale", pg_is_in_recovery() AS standby,
            pg_database_size(d.oid)::float8 AS "databaseBytes",
            -- as VACUUM, ANALYZE and CREATE INDEX saw them last: asking each one would wait for whoever has it locked
            (SELECT coalesce(sum(relpages::float8), 0) FROM pg_class WHERE relkind = 'i' AND oid >= 16384)
              * current_setting('block_size')::float8 AS "indexBytes",
            current_setting('default_toast_compression', true) AS "toastCompression"
       FROM pg_database d WHERE d.datname = current_database()`,
  );
  const facts = rows[0];
  if (!facts) throw new Error('pg_database does not hold the current database');
  return facts;
}

interface Lack {
  object: string;
  grant: string;
}

/**
 * Whether the role may read everything that pg_dump will: found out before an hour of dumping, not after it.
 * @param excluded object ids of tables that are not dumped
 * @throws AgentError `PrivilegeMissing` naming the objects and the statements that grant what lacks
 */
export async function checkPrivileges(
  connection: Connection,
  facts: ServerFacts,
  excluded: readonly number[],
): Promise<void> {
  const { rows } = await connection.query<Lack>(lacksSql, [facts.database, excluded]);
  if (rows.length === 0) return;
  const objects = rows.slice(0, 5).map((row) => row.object);
  const grants = [...new Set(rows.map((row) => row.grant))].slice(0, 10);
  const more = rows.length > 5 ? ` and ${rows.length - 5} more` : '';
  throw new AgentError(
    'PrivilegeMissing',
    `The role ${facts.user} may not read ${objects.join(', ')}${more} in database ${facts.database}, so a backup would not be whole.`,
    `As a superuser run: ${grants.join(' ')} ${readAll(facts)}`,
  );
}

/** A predefined role since 14; it opens schemas, tables and sequences, also those to come. */
function readAll({ user, versionNumber }: ServerFacts): string {
  if (versionNumber < 140_000) return '';
  return `In place of the grants on schemas, tables and sequences this opens all of them, also those to come: GRANT pg_read_all_data TO ${quoteIdentifier(user)};`;
}

/** Schemas, tables and sequences; tables whose rows a policy would hide; large objects. Temporary and foreign ones are not dumped. */
const lacksSql = `
WITH me AS (SELECT r.oid, r.rolsuper, r.rolbypassrls FROM pg_roles r WHERE r.rolname = current_user),
spaces AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
relations AS (
  SELECT c.*, s.nspname
    FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
   WHERE c.relpersistence <> 't' AND NOT c.oid::int8::float8 = ANY ($2::float8[])
     -- an identity column's sequence is left out with its table
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
                        AND c.relkind = 'S' AND d.deptype = 'i' AND d.refobjid::int8::float8 = ANY ($2::float8[]))
     -- of an extension's tables only those are dumped that hold its configuration
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                        AND NOT EXISTS (SELECT FROM pg_extension x WHERE c.oid = ANY (x.extconfig))))
SELECT 'schema ' || quote_ident(nspname) AS object,
       format('GRANT USAGE ON SCHEMA %I TO %I;', nspname, current_user) AS grant
  FROM spaces WHERE NOT has_schema_privilege(oid, 'USAGE')
   AND EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = spaces.oid)
UNION ALL
SELECT 'table ' || quote_ident(nspname) || '.' || quote_ident(relname),
       CASE WHEN count(*) OVER (PARTITION BY nspname) > 3
            THEN format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I;', nspname, current_user)
            ELSE format('GRANT SELECT ON %I.%I TO %I;', nspname, relname, current_user) END
  FROM relations WHERE relkind IN ('r', 'p') AND NOT has_table_privilege(oid, 'SELECT')
UNION ALL
SELECT 'sequence ' || quote_ident(nspname) || '.' || quote_ident(relname),
       CASE WHEN count(*) OVER (PARTITION BY nspname) > 3
            THEN format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I;', nspname, current_user)
            ELSE format('GRANT SELECT ON SEQUENCE %I.%I TO %I;', nspname, relname, current_user) END
  FROM relations
 -- CASE, since the planner may ask before it has looked at relkind, and that is an error
 WHERE CASE WHEN relkind = 'S' THEN NOT has_sequence_privilege(oid, 'SELECT') ELSE false END
UNION ALL
SELECT 'all rows of ' || quote_ident(nspname) || '.' || quote_ident(relname) || ' (row-level security)',
       format('ALTER ROLE %I BYPASSRLS;', current_user)
  FROM relations, me
 WHERE relkind IN ('r', 'p') AND relrowsecurity AND NOT me.rolsuper AND NOT me.rolbypassrls
   AND (relforcerowsecurity OR NOT pg_has_role(relowner, 'USAGE'))
UNION ALL
SELECT 'large object ' || l.oid,
       format('GRANT SELECT ON LARGE OBJECT %s TO %I;', l.oid, current_user)
  FROM pg_largeobject_metadata l, me
 WHERE NOT me.rolsuper AND NOT pg_has_role(l.lomowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM aclexplode(l.lomacl) a
                    WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
UNION ALL
SELECT 'database ' || quote_ident($1::text), format('GRANT CONNECT ON DATABASE %I TO %I;', $1::text, current_user)
 WHERE NOT has_database_privilege($1::text, 'CONNECT')
ORDER BY 1`;
