import { AgentError } from '../errors.ts';
import { endConnection, connect } from '../postgres/connect.ts';
import { withDatabase } from '../postgres/endpoint.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { applicationNameOf, onMaintenance } from './maintenance-session.ts';
import { dropUntrustedRole, type UntrustedRole } from './untrusted-role.ts';

/**
 * Gives everything that an untrusted dump has made to those whom it is to belong to, and drops the role that ran it. The last
 * thing of all: from here on what the dump defines may run with its new owner's rights. PostgreSQL itself runs functions in
 * indexes by the table's owner when it analyzes or vacuums, also by autovacuum a minute later, and whoever writes to a table,
 * reads a view or calls a function runs what hangs on it. Where a superuser owns or does that, the dump's code has a
 * superuser's rights: that is what the person takes upon himself who says --trust-source, and what is told when it is done.
 *
 * No text of the dump is run here. Changing owners and rights runs no code of anybody's.
 * @returns the functions that run with a superuser's rights from now on, whoever calls them
 */
export async function handOver(role: UntrustedRole): Promise<string[]> {
  const { maintenance, runId, scratchDatabase, server } = role.options;
  const { standIns, name } = role;
  const pairs = [{ role: server.user, standIn: name }, ...standIns.all];
  await onMaintenance(maintenance, runId, async (connection) => {
    await connection.query(`ALTER ROLE ${name} NOLOGIN`);
    // A session that a dump has kept busy would be in the way.
    await connection.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [name]);
  });
  let definers: string[];
  const connection = await connect(withDatabase(maintenance, scratchDatabase), {
    applicationName: applicationNameOf(runId),
  });
  try {
    // A prepared transaction of the dump's could hold something for ever.
    await connection.query("BEGIN; SET LOCAL lock_timeout = '60s'");
    const { rows } = await connection.query<{ sql: string }>(defaultPrivilegesSql, [
      pairs.map(({ standIn }) => standIn),
      pairs.map((pair) => pair.role),
      standIns.group,
    ]);
    for (const { sql } of rows) await connection.query(sql);
    // Not the restoring role's, but whose it is in template0.
    const { rows: owners } = await connection.query<{ owner: string }>(
      "SELECT pg_get_userbyid(10)::text AS owner FROM pg_namespace WHERE nspname = 'public' AND pg_get_userbyid(nspowner) = $1",
      [name],
    );
    for (const { owner } of owners) await connection.query(`ALTER SCHEMA public OWNER TO ${quoteIdentifier(owner)}`);
    for (const pair of pairs) {
      await connection.query(`REASSIGN OWNED BY ${pair.standIn} TO ${quoteIdentifier(pair.role)}`);
    }
    // What is left is rights. One at a time: a default privilege of two of them PostgreSQL would look for twice.
    for (const each of [...pairs.map(({ standIn }) => standIn), standIns.group]) {
      await connection.query(`DROP OWNED BY ${each}`);
    }
    const { rows: found } = await connection.query<{ name: string }>(superuserRoutinesSql);
    definers = found.map(({ name }) => name);
    await connection.query('COMMIT');
  } catch (cause) {
    const isOutOfLocks = (cause as { code?: string }).code === '53200';
    throw new AgentError(
      'RestoreFailed',
      `What the dump has made could not be given to those whom it is to belong to: ${(cause as Error).message}.`,
      isOutOfLocks
        ? 'The new database was dropped. Each table takes some locks here: raise max_locks_per_transaction of the server (it has to be restarted), and restore again.'
        : 'The new database was dropped. Look whether roles were dropped or renamed meanwhile, and restore again.',
      { cause },
    );
  } finally {
    await endConnection(connection);
  }
  await onMaintenance(maintenance, runId, async (last) => {
    const { databaseOwner } = standIns;
    if (databaseOwner !== undefined) {
      const owner = quoteIdentifier(databaseOwner);
      await last.query(`ALTER DATABASE ${quoteIdentifier(scratchDatabase)} OWNER TO ${owner}`);
    }
    await dropUntrustedRole(last, name);
  });
  return definers;
}

/** SECURITY DEFINER routines of superusers, and of those who can act as one. */
const superuserRoutinesSql = `
SELECT format('%I.%I', n.nspname, p.proname) AS name
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles o ON o.oid = p.proowner
 WHERE p.prosecdef AND p.oid >= 16384
   AND (o.rolsuper OR EXISTS (
     SELECT FROM pg_roles s
      WHERE (s.rolsuper OR s.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files'))
        AND pg_has_role(o.oid, s.oid, 'MEMBER')))
 ORDER BY 1`;

/**
 * What roles give others of what they make later, which REASSIGN OWNED leaves behind: the same for those for whom they stood.
 * The entries of no schema are all that there is, in the place of what PostgreSQL gives by itself.
 */
const defaultPrivilegesSql = `
WITH pairs AS (SELECT * FROM unnest($1::text[], $2::text[]) AS p (stand_in, role)),
kinds (letter, words) AS (VALUES ('r', 'TABLES'), ('S', 'SEQUENCES'), ('f', 'FUNCTIONS'), ('T', 'TYPES'), ('n', 'SCHEMAS'), ('L', 'LARGE OBJECTS')),
entries AS (
  SELECT d.oid, d.defaclacl AS acl, p.role, k.words, d.defaclnamespace = 0 AS everywhere,
         format('ALTER DEFAULT PRIVILEGES FOR ROLE %I', p.role)
           || CASE WHEN d.defaclnamespace = 0 THEN '' ELSE format(' IN SCHEMA %I', n.nspname) END AS head
    FROM pg_default_acl d JOIN pairs p ON p.stand_in = pg_get_userbyid(d.defaclrole) JOIN kinds k ON k.letter = d.defaclobjtype::text
         LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace)
SELECT sql FROM (
  SELECT format('%s REVOKE ALL ON %s FROM PUBLIC, %I', head, words, role) AS sql, oid, 0 AS step FROM entries WHERE everywhere
  UNION ALL
  SELECT format('%s GRANT %s ON %s TO %s%s', e.head, item.privilege_type, e.words,
                CASE WHEN item.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(coalesce(g.role, pg_get_userbyid(item.grantee))) END,
                CASE WHEN item.is_grantable AND g.role IS DISTINCT FROM e.role THEN ' WITH GRANT OPTION' ELSE '' END), e.oid, 1
    FROM entries e CROSS JOIN aclexplode(e.acl) AS item LEFT JOIN pairs g ON g.stand_in = pg_get_userbyid(item.grantee)
   WHERE item.grantee = 0 OR pg_get_userbyid(item.grantee) <> $3) AS statements
 ORDER BY oid, step`;
