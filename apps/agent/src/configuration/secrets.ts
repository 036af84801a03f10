import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import pgpass from 'pgpass';
import type { ConnectionConfiguration } from './connection.ts';
import { ConfigurationError } from './errors.ts';
import { postgresUrlCure, readPostgresUrl, type PostgresUrl } from './postgres-url.ts';
import type { S3Credentials } from './stores.ts';

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
    secrets: password === undefined ? [] : formsOf(password),
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

/** Credentials with nothing left to look up; all absent: the AWS SDK finds them itself. */
export interface ResolvedS3Credentials {
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  profile?: string;
  secrets: readonly string[];
}

/** @throws ConfigurationError `SecretUnavailable` naming file or variable */
export async function resolveS3Credentials(
  from: S3Credentials | undefined,
  env: NodeJS.ProcessEnv,
): Promise<ResolvedS3Credentials> {
  const accessKeyId = await secretOf(from?.accessKeyIdFile, from?.accessKeyIdEnv, env, 'the access key id');
  const secretAccessKey = await secretOf(
    from?.secretAccessKeyFile,
    from?.secretAccessKeyEnv,
    env,
    'the secret access key',
  );
  const sessionToken = await secretOf(from?.sessionTokenFile, from?.sessionTokenEnv, env, 'the session token');
  // What the SDK finds by itself is known to us too, so that it can be kept out of logs.
  const ambient = [env['AWS_SECRET_ACCESS_KEY'], env['AWS_SESSION_TOKEN']];
  const secrets = [secretAccessKey, sessionToken, ...ambient].flatMap((each) => (each ? formsOf(each) : []));
  return {
    ...(accessKeyId !== undefined && secretAccessKey !== undefined
      ? { credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) } }
      : {}),
    ...(from?.profile === undefined ? {} : { profile: from.profile }),
    secrets,
  };
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

/** Reads one secret; undefined where neither file nor variable is named. */
async function secretOf(
  file: string | undefined,
  variable: string | undefined,
  env: NodeJS.ProcessEnv,
  what: string,
): Promise<string | undefined> {
  if (variable !== undefined) {
    const value = nonEmpty(env[variable]);
    if (value !== undefined) return value;
    const problem = `The environment variable ${variable}, which should hold ${what}, is not set.`;
    throw new ConfigurationError(
      'SecretUnavailable',
      problem,
      `Set it where the agent is started, or name a file instead.`,
    );
  }
  return file === undefined ? undefined : readSecretFile(file, what);
}

/** The text of a file without the newline at its end. */
export async function readSecretFile(file: string, what: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const cure =
      code === 'ENOENT'
        ? `Write it there alone on a line, readable by the agent only: chmod 600 ${file}`
        : `Let the user that runs the agent read it: chown and chmod 600 ${file}`;
    throw new ConfigurationError(
      'SecretUnavailable',
      `The file that should hold ${what} cannot be read: ${message}.`,
      cure,
      { cause },
    );
  }
  if (text !== '') return text;
  throw new ConfigurationError(
    'SecretUnavailable',
    `${file}, which should hold ${what}, is empty.`,
    'Write it there alone on a line.',
  );
}

/** A secret as it stands in texts: as it is, and as it is written in a URL. */
function formsOf(secret: string): string[] {
  return [...new Set([secret, encodeURIComponent(secret)])];
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
