import { userInfo } from 'node:os';
import { ConfigurationError, formsOfSecret, secretOf } from '@strideiq/configuration';
import pgpass from 'pgpass';
import type { ConnectionConfiguration } from './connection.ts';
import { postgresUrlCure, readPostgresUrl, type PostgresUrl } from './postgres-url.ts';

/** A connection with nothing left to look up, for `pg` and for pg_dump alike. */
export interface ResolvedConnection {
  /** Host name, address, or directory of a Unix socket. */
  host: string;
  port: number;
  user: string;
  /** Name on the server. */
  database: string;
  /** Absent where none is set anywhere, PGPASSFILE and ~/.pgpass included. */
  password?: string;
  sslmode?: string;
  sslrootcert?: string;
  sslcert?: string;
  sslkey?: string;
  /** As PGOPTIONS. */
  options?: string;
  /** Texts that must appear in no log, error, argv or manifest. */
  secrets: readonly string[];
}

/**
 * Looks up what the configuration points at, at the moment of use, so that a changed password needs no restart.
 * Order: the file's own keys, then its URL, then PG* variables, then libpq's defaults.
 * @throws ConfigurationError `SecretUnavailable` naming file or variable; `ConfigurationInvalid` for a URL that is none
 */
export async function resolveConnection(
  connection: ConnectionConfiguration,
  env: NodeJS.ProcessEnv,
): Promise<ResolvedConnection> {
  const url = await urlOf(connection, env);
  const own = await secretOf(connection.passwordFile, connection.passwordEnv, env, 'the password');
  const user = connection.user ?? url?.user ?? nonEmpty(env['PGUSER']) ?? userInfo().username;
  const place = {
    host: connection.host ?? url?.host ?? nonEmpty(env['PGHOST']) ?? 'localhost',
    port: connection.port ?? url?.port ?? Number(nonEmpty(env['PGPORT']) ?? 5432),
    user,
    database:
      connection.database ?? url?.database ?? connection.fallbackDatabase ?? nonEmpty(env['PGDATABASE']) ?? user,
  };
  const said = own ?? connection.password?.reveal() ?? url?.password ?? nonEmpty(env['PGPASSWORD']);
  const password = said ?? (await passwordFromPassFile(place));
  const optional = {
    sslmode: connection.sslmode ?? url?.sslmode ?? nonEmpty(env['PGSSLMODE']),
    sslrootcert: connection.sslrootcert ?? url?.sslrootcert ?? nonEmpty(env['PGSSLROOTCERT']),
    sslcert: connection.sslcert ?? url?.sslcert ?? nonEmpty(env['PGSSLCERT']),
    sslkey: connection.sslkey ?? url?.sslkey ?? nonEmpty(env['PGSSLKEY']),
    options: url?.options ?? nonEmpty(env['PGOPTIONS']),
    password,
  };
  const given = Object.entries(optional).filter(([, value]) => value !== undefined);
  return {
    ...place,
    ...(Object.fromEntries(given) as { [key in keyof typeof optional]?: string }),
    secrets: password === undefined ? [] : formsOfSecret(password),
  };
}

/** As libpq does it; `pg` would do it too, and warn that it will not much longer. */
async function passwordFromPassFile(place: {
  host: string;
  port: number;
  user: string;
  database: string;
}): Promise<string | undefined> {
  return new Promise((resolve) => {
    pgpass(place, resolve);
  });
}

async function urlOf(connection: ConnectionConfiguration, env: NodeJS.ProcessEnv): Promise<PostgresUrl | undefined> {
  const text = connection.url ?? (await secretOf(connection.urlFile, connection.urlEnv, env, "the database's URL"));
  if (text === undefined) return undefined;
  const url = readPostgresUrl(text);
  const source = connection.urlFile ?? (connection.urlEnv === undefined ? 'The connection' : `$${connection.urlEnv}`);
  // The text itself may hold a password: only its source is named.
  if (url === undefined) {
    throw new ConfigurationError(
      'ConfigurationInvalid',
      `${source} holds no URL of a PostgreSQL database.`,
      postgresUrlCure,
    );
  }
  if (url.unknown.length > 0) {
    const what = `The URL in ${source} holds what is not known here: ${url.unknown.join(', ')}.`;
    throw new ConfigurationError('ConfigurationInvalid', what, 'Leave it out.');
  }
  return url;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
