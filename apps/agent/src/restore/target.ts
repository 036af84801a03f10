import type { Manifest } from '@strideiq/core';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';

/** What decides how a database spells and sorts. */
export interface Locale extends Pick<
  Manifest['source'],
  'encoding' | 'collate' | 'ctype' | 'localeProvider' | 'icuLocale'
> {
  /** Of the server's 16 and later; not known of a backup. */
  icuRules?: string | null;
}

/** What a restore needs to know of the server it goes to. */
export interface TargetServer {
  versionNumber: number;
  /** Whether SQL run by this role can do anything on the server: a superuser, or a role that can become one or run programs. */
  superuser: boolean;
  /** Whether it is a superuser itself, who may make roles and give away what is others'. */
  isSuperuser: boolean;
  user: string;
  /** By what it stores long values where nobody says otherwise; null before 14. */
  toastCompression: string | null;
  /** Whether the role may create databases. */
  creates: boolean;
  /** Where the new database goes; left out: where the server puts it by itself. */
  tablespace?: string;
}

/**
 * Looks before anything is made: the name is free, the role may create databases, and the extensions and roles that the
 * dump needs are there.
 * @throws AgentError `TargetExists`, `TargetInvalid`, `PrivilegeMissing`, `ExtensionMissing`, `RoleMissing`
 */
export async function checkTarget(
  connection: Connection,
  into: string,
  manifest: Manifest | undefined,
): Promise<TargetServer> {
  if (into === '' || Buffer.byteLength(into) > 63) {
    throw new AgentError(
      'TargetInvalid',
      `A database cannot be called ${JSON.stringify(into)}.`,
      'Choose a name of 1 to 63 bytes.',
    );
  }
  const { rows } = await connection.query('SELECT FROM pg_database WHERE datname = $1', [into]);
  if (rows.length > 0) {
    throw new AgentError(
      'TargetExists',
      `There is already a database ${JSON.stringify(into)}; a restore never writes into one.`,
      'Choose another name with --into, replace it as a whole with --in-place, or drop it first if nobody needs it.',
    );
  }
  return checkServer(connection, manifest);
}

/**
 * The same without a name: what every new database on that server needs.
 * @throws AgentError `PrivilegeMissing`, `ExtensionMissing`, `RoleMissing`
 */
export async function checkServer(connection: Connection, manifest: Manifest | undefined): Promise<TargetServer> {
  const { rows } = await connection.query<TargetServer>(
    `SELECT current_setting('server_version_num')::int AS "versionNumber", current_user::text AS user,
            current_setting('default_toast_compression', true) AS "toastCompression",
            r.rolsuper OR EXISTS (
              SELECT FROM pg_roles p, unnest(ARRAY[current_user, session_user]) AS me
               WHERE (p.rolsuper OR p.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files'))
                 AND pg_has_role(me, p.oid, 'MEMBER'))
              -- before 16 such a role could give itself any membership
              OR (r.rolcreaterole AND current_setting('server_version_num')::int < 160000) AS superuser,
            r.rolsuper AS "isSuperuser", r.rolcreatedb OR r.rolsuper AS creates
       FROM pg_roles r WHERE r.rolname = current_user`,
  );
  const server = rows[0];
  if (!server) throw new Error('the current role is not in pg_roles');
  if (!server.creates) {
    throw new AgentError(
      'PrivilegeMissing',
      `The role ${server.user} may not create databases.`,
      `As a superuser run: ALTER ROLE ${quoteIdentifier(server.user)} CREATEDB;`,
    );
  }
  if (manifest) await checkNeeds(connection, manifest);
  return server;
}

async function checkNeeds(connection: Connection, manifest: Manifest): Promise<void> {
  const extensions = await connection.query<{ name: string }>(
    'SELECT wanted AS name FROM unnest($1::text[]) AS wanted WHERE wanted NOT IN (SELECT name FROM pg_available_extensions) ORDER BY 1',
    [manifest.extensions.map(({ name }) => name)],
  );
  if (extensions.rows.length > 0) {
    const names = extensions.rows.map(({ name }) => name).join(', ');
    throw new AgentError(
      'ExtensionMissing',
      `The backup needs extensions that this server does not have: ${names}.`,
      'Install their packages on the database server (Debian: postgresql-contrib or postgresql-VERSION-NAME), then restore again.',
    );
  }
  const roles = await connection.query<{ name: string }>(
    'SELECT wanted AS name FROM unnest($1::text[]) AS wanted WHERE wanted NOT IN (SELECT rolname FROM pg_roles) ORDER BY 1',
    [manifest.roles],
  );
  if (roles.rows.length > 0) {
    const names = roles.rows.map(({ name }) => name).join(', ');
    throw new AgentError(
      'RoleMissing',
      `Policies or user mappings of the backup name roles that this server does not have: ${names}.`,
      // Never the backup's own file in a pipe to psql: nobody may vouch for it.
      `Create them first: ${roles.rows.map(({ name }) => `CREATE ROLE ${quoteIdentifier(name)};`).join(' ')} What they were is in the roles at the head of the owners and grants beside the backup.`,
    );
  }
}

/**
 * Makes an empty database that nobody else may enter: a restored SECURITY DEFINER function would be open to anyone
 * while the grants are not yet there.
 * @param options of CREATE DATABASE
 * @returns its oid
 */
export async function createClosedDatabase(connection: Connection, name: string, options: string): Promise<number> {
  await connection.query(`CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE template0${options}`);
  await connection.query(`REVOKE CONNECT, TEMPORARY ON DATABASE ${quoteIdentifier(name)} FROM PUBLIC`);
  const { rows } = await connection.query<{ oid: number }>('SELECT oid FROM pg_database WHERE datname = $1', [name]);
  return rows[0]?.oid ?? 0;
}

/** Encoding and locale of a database, as options of CREATE DATABASE; with a space before them. */
export function localeOptions(source: Locale, server: Pick<TargetServer, 'versionNumber'>): string {
  const options = [
    `ENCODING ${quoteLiteral(source.encoding)}`,
    `LC_COLLATE ${quoteLiteral(source.collate)}`,
    `LC_CTYPE ${quoteLiteral(source.ctype)}`,
  ];
  // template0 has the provider of the cluster, which need not be this database's.
  if (source.localeProvider === 'c' && server.versionNumber >= 150_000) options.push('LOCALE_PROVIDER libc');
  if (source.localeProvider === 'i' && source.icuLocale !== null && server.versionNumber >= 150_000) {
    options.push('LOCALE_PROVIDER icu', `ICU_LOCALE ${quoteLiteral(source.icuLocale)}`);
    if (source.icuRules) options.push(`ICU_RULES ${quoteLiteral(source.icuRules)}`);
  }
  if (source.localeProvider === 'b' && source.icuLocale !== null && server.versionNumber >= 170_000) {
    options.push('LOCALE_PROVIDER builtin', `BUILTIN_LOCALE ${quoteLiteral(source.icuLocale)}`);
  }
  return ` ${options.join(' ')}`;
}
