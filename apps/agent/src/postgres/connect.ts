import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { AgentError } from '../errors.ts';
import { connectionError } from './connection-errors.ts';
import type { Endpoint } from './endpoint.ts';
import { ExecStream, tunnelCommand } from './exec-stream.ts';

/** A connection that ends with `end()`; also handed to whoever only queries. */
export type Connection = pg.Client;

export interface ConnectOptions {
  /** Shown in `pg_stat_activity`, so that a person sees whose session this is. */
  applicationName: string;
  /** Milliseconds until a server that does not answer counts as unreachable. */
  timeoutMs?: number;
}

/**
 * Connects, with the role's own timeouts off: a backup must not be cut by a setting meant for the application.
 * @throws AgentError `ServerUnreachable`, `LoginRefused`, `DatabaseMissing`, `PrivilegeMissing`
 */
export async function connect(endpoint: Endpoint, options: ConnectOptions): Promise<Connection> {
  const { otherDatabases = [], ...first } = endpoint;
  try {
    return await connectTo(first, options);
  } catch (error) {
    const [next, ...rest] = otherDatabases;
    if (next === undefined || !(error instanceof AgentError && error.code === 'DatabaseMissing')) throw error;
    return connect({ ...endpoint, database: next, otherDatabases: rest }, options);
  }
}

async function connectTo(endpoint: Endpoint, options: ConnectOptions): Promise<Connection> {
  const sslmode = endpoint.sslmode ?? 'prefer';
  const attempts = sslmode === 'prefer' ? [true, false] : sslmode === 'allow' ? [false, true] : [true];
  for (const [at, secure] of attempts.entries()) {
    const client = await newClient(endpoint, options, secure);
    // A connection that breaks while nobody waits on it must not end the program; the next query says so.
    client.on('error', () => undefined);
    try {
      await client.connect();
      await applyOwnSettings(client);
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      const noSsl = error instanceof Error && error.message.includes('does not support SSL');
      if (at + 1 < attempts.length && (noSsl || sslmode === 'allow')) continue;
      throw connectionError(error, endpoint);
    }
  }
  throw new Error('unreachable');
}

/**
 * The settings of our own sessions, over those of role and database. In a database without an encoding (SQL_ASCII) the
 * server would refuse to send names that are no UTF-8: there bytes are taken as they are.
 */
export async function applyOwnSettings(connection: Connection): Promise<void> {
  await connection.query(
    `SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET search_path = '';
     SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)
      WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'`,
  );
}

async function newClient(endpoint: Endpoint, options: ConnectOptions, secure: boolean): Promise<pg.Client> {
  const { exec, execConnect } = endpoint;
  const throughCommand = exec.length > 0 || execConnect.length > 0;
  const isSocketPath = endpoint.host.startsWith('/');
  const ssl = throughCommand || isSocketPath ? false : await sslOptions(endpoint, secure);
  return new pg.Client({
    host: endpoint.host,
    port: endpoint.port,
    user: endpoint.user,
    database: endpoint.database,
    ...(endpoint.password === undefined ? {} : { password: endpoint.password }),
    ssl,
    ...(endpoint.options === undefined ? {} : { options: endpoint.options }),
    application_name: options.applicationName,
    connectionTimeoutMillis: options.timeoutMs ?? 20_000,
    keepAlive: true,
    ...(throughCommand ? { stream: () => new ExecStream(tunnelCommand(exec, execConnect, endpoint.port)) } : {}),
  });
}

/** As libpq's sslmode: `require` encrypts and asks nobody who the server is. */
async function sslOptions(endpoint: Endpoint, secure: boolean): Promise<pg.ClientConfig['ssl']> {
  const { sslmode, sslrootcert, sslcert, sslkey } = endpoint;
  if (sslmode === 'disable' || !secure) return false;
  const [ca, cert, key] = await Promise.all([sslrootcert, sslcert, sslkey].map(async (file) => textOf(file)));
  const files = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
  if (sslmode === 'verify-full') return { rejectUnauthorized: true, ...files };
  if (sslmode === 'verify-ca') return { rejectUnauthorized: true, checkServerIdentity: () => undefined, ...files };
  return { rejectUnauthorized: false, ...files };
}

async function textOf(file: string | undefined): Promise<string | undefined> {
  return file === undefined ? undefined : readFile(file, 'utf8');
}
