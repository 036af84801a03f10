import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { AgentError } from '../errors.ts';
import { connectionError } from './connection-errors.ts';
import type { Endpoint } from './endpoint.ts';
import { ExecStream, tunnelCommand } from './exec-stream.ts';
import { OneBufferSocket } from './one-buffer-socket.ts';

/** A connection that ends with `end()`; also handed to whoever only queries. */
export type Connection = pg.Client;

export interface ConnectOptions {
  /** Shown in `pg_stat_activity`, so that a person sees whose session this is. */
  applicationName: string;
  /** Milliseconds until a server that does not answer counts as unreachable. */
  timeoutMs?: number;
  /** Much is read over it: `OneBufferSocket`, where nothing stands between us and the server's bytes. */
  readsMuch?: boolean;
}

const connectTimeoutMs = 20_000;

/**
 * Connects, with the role's own timeouts off: a backup must not be cut by a setting meant for the application.
 * @throws AgentError `ServerUnreachable`, `LoginRefused`, `DatabaseMissing`, `DatabaseClosed`, `PrivilegeMissing`
 */
export async function connect(endpoint: Endpoint, options: ConnectOptions): Promise<Connection> {
  const { otherDatabases = [], ...first } = endpoint;
  try {
    return await connectTo(first, options);
  } catch (error) {
    const [next, ...rest] = otherDatabases;
    if (next === undefined || !isOfDatabase(error)) throw error;
    return connect({ ...endpoint, database: next, otherDatabases: rest }, options);
  }
}

/** Another database of the same server may let us in. */
function isOfDatabase(error: unknown): boolean {
  if (!(error instanceof AgentError)) return false;
  if (error.code === 'LoginRefused') return error.message.includes('pg_hba.conf');
  return ['DatabaseMissing', 'DatabaseClosed', 'PrivilegeMissing'].includes(error.code);
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
      await answered(client, applyOwnSettings(client), options.timeoutMs ?? connectTimeoutMs);
      return client;
    } catch (error) {
      await endConnection(client, 0);
      const noSsl = error instanceof Error && error.message.includes('does not support SSL');
      if (at + 1 < attempts.length && (noSsl || sslmode === 'allow')) continue;
      throw connectionError(error, endpoint);
    }
  }
  throw new Error('unreachable');
}

/**
 * The settings of our own sessions, over those of role and database: `pg` reads moments in no style but ISO. Those that came with 14 and 17 only where they exist. In a database without an encoding (SQL_ASCII) the
 * server would refuse to send names that are no UTF-8: there bytes are taken as they are.
 */
export async function applyOwnSettings(connection: Connection): Promise<void> {
  await connection.query(
    `SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET search_path = ''; SET DateStyle = 'ISO';
     SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
      WHERE name IN ('idle_session_timeout', 'transaction_timeout');
     SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)
      WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'`,
  );
}

/**
 * Ends a connection: politely, and by cutting it where the other side has not answered in time. `end()` by itself waits
 * for the server's FIN, which one that lies behind a dead line never sends. Never rejects.
 */
export async function endConnection(connection: Connection, withinMs = 5000): Promise<void> {
  const wire = connection.connection;
  const cut = setTimeout(() => wire.stream.destroy(), withinMs);
  try {
    await connection.end();
  } catch {
    // It is over, whatever it said last.
  } finally {
    clearTimeout(cut);
    // Of one that never came about `end()` leaves the socket as it is.
    wire.stream.destroy();
  }
}

/**
 * A short look at the server that must not wait for ever: where it is not answered in time the connection is cut, so
 * that everything else that waits on it fails too.
 * @throws AgentError `ConnectionLost`, and whatever `look` throws
 */
export async function answered<T>(connection: Connection, look: Promise<T>, withinMs = 30_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new AgentError(
          'ConnectionLost',
          `The server has not answered for ${Math.round(withinMs / 1000)} s.`,
          'Look at the network between this host and the server, and run the command again.',
        ),
      );
      connection.connection.stream.destroy();
    }, withinMs);
  });
  try {
    return await Promise.race([look, late]);
  } finally {
    clearTimeout(timer);
  }
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
    connectionTimeoutMillis: options.timeoutMs ?? connectTimeoutMs,
    keepAlive: true,
    // The kernel's own first probe comes after two hours.
    keepAliveInitialDelayMillis: 30_000,
    ...(throughCommand ? { stream: () => new ExecStream(tunnelCommand(exec, execConnect, endpoint.port)) } : {}),
    ...(options.readsMuch && ssl === false && !throughCommand ? { stream: () => new OneBufferSocket() } : {}),
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
