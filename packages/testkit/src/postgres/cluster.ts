import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { TestkitError } from '../errors.ts';
import { hasExited, signalGroup, type OwnedDirectory } from '../processes/owned-directory.ts';
import { freePort } from '../processes/ports.ts';
import { run, type Ran } from '../processes/run.ts';
import { waitFor } from '../processes/wait.ts';
import type { Account } from './account.ts';
import { serverEnv } from './data-directory.ts';
import { quoteIdent, quoteLiteral } from './identifiers.ts';
import type { Major } from './installation.ts';

export interface DatabaseOptions {
  template?: string;
  owner?: string;
  encoding?: string;
  /** LC_COLLATE and LC_CTYPE. */
  locale?: string;
}

/** What psql runs: exactly one of `sql`, `file` and bare `args`; `args` may stand beside the others. */
export interface PsqlInput {
  sql?: string;
  file?: string;
  args?: readonly string[];
}

/** A PostgreSQL server of its own, on a port of its own, in a directory of its own. */
export class PostgresCluster {
  readonly major: Major;
  readonly host = '127.0.0.1';
  readonly user = 'postgres';
  readonly password: string | undefined;
  /** Holds initdb, pg_ctl and postgres of this major. */
  readonly binDir: string;
  /** Data directory, server log and socket; all of it goes with `stop`. */
  readonly directory: string;
  #port = 0;
  #server: ChildProcess | undefined;
  readonly #owned: OwnedDirectory;
  readonly #account: Account;
  readonly #executable: string;
  readonly #clients: string | TestkitError;

  /** @internal Clusters are made by `startPostgres`. */
  constructor(parts: {
    major: Major;
    password: string | undefined;
    owned: OwnedDirectory;
    account: Account;
    binDir: string;
    executable: string;
    clients: string | TestkitError;
  }) {
    this.major = parts.major;
    this.password = parts.password;
    this.binDir = parts.binDir;
    this.directory = parts.owned.path;
    this.#owned = parts.owned;
    this.#account = parts.account;
    this.#executable = parts.executable;
    this.#clients = parts.clients;
  }

  get port(): number {
    return this.#port;
  }

  /** Process id of the postmaster; undefined while the server does not run. */
  get pid(): number | undefined {
    return this.#server && !hasExited(this.#server) ? this.#server.pid : undefined;
  }

  /**
   * Holds pg_dump, pg_dumpall, pg_restore and psql of this major or the next newer one.
   * @throws TestkitError `NotInstalled` where the machine has none, saying how to get them
   */
  get clientDir(): string {
    if (typeof this.#clients === 'string') return this.#clients;
    throw this.#clients;
  }

  /** Environment for the PostgreSQL clients, free of the developer's own PG* variables. */
  get clientEnv(): NodeJS.ProcessEnv {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PG')));
    return {
      ...env,
      PGHOST: this.host,
      PGPORT: String(this.port),
      PGUSER: this.user,
      ...(this.password === undefined ? {} : { PGPASSWORD: this.password }),
    };
  }

  /** What the server has written to its log since it was made. */
  async logText(): Promise<string> {
    return await readFile(join(this.directory, 'log'), 'utf8');
  }

  /** Connection URI of a database for `postgres`, password included. */
  url(database: string): string {
    const secret = this.password === undefined ? '' : `:${encodeURIComponent(this.password)}`;
    return `postgresql://${this.user}${secret}@${this.host}:${this.port}/${encodeURIComponent(database)}`;
  }

  async createDatabase(name: string, options: DatabaseOptions = {}): Promise<void> {
    const { template, owner, encoding, locale } = options;
    const clauses = [
      template === undefined ? '' : `TEMPLATE ${quoteIdent(template)}`,
      owner === undefined ? '' : `OWNER ${quoteIdent(owner)}`,
      encoding === undefined ? '' : `ENCODING ${quoteLiteral(encoding)}`,
      locale === undefined ? '' : `LC_COLLATE ${quoteLiteral(locale)} LC_CTYPE ${quoteLiteral(locale)}`,
    ];
    await this.query('postgres', `CREATE DATABASE ${quoteIdent(name)} ${clauses.join(' ')}`);
  }

  /** Ends the sessions in it first; one that is not there is fine. */
  async dropDatabase(name: string): Promise<void> {
    await this.query('postgres', `DROP DATABASE IF EXISTS ${quoteIdent(name)} WITH (FORCE)`);
  }

  /** A connection that the caller ends. Its death by the server's is the caller's to notice, not the process's to die of. */
  async connect(database: string): Promise<pg.Client> {
    const client = new pg.Client({
      host: this.host,
      port: this.port,
      user: this.user,
      password: this.password ?? '',
      database,
    });
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  /** Rows of one statement, or of the last of several, on a connection of its own. */
  async query<Row extends pg.QueryResultRow = Record<string, unknown>>(
    database: string,
    sql: string,
    params?: readonly unknown[],
  ): Promise<Row[]> {
    const client = await this.connect(database);
    try {
      const result: unknown = await client.query(sql, params === undefined ? undefined : [...params]);
      const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult<Row>;
      return last.rows;
    } finally {
      await client.end();
    }
  }

  /**
   * Runs psql on a database, stopping at the first error; the developer's own psqlrc is not read.
   * @throws TestkitError `CommandFailed` with psql's words
   */
  async psql(database: string, { sql, file, args = [] }: PsqlInput): Promise<Ran> {
    const options = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database, ...(file === undefined ? [] : ['-f', file])];
    return await this.runClient('psql', [...options, ...args], sql === undefined ? {} : { input: sql });
  }

  /** Runs one of the programs in `clientDir` against this server. */
  async runClient(
    tool: 'psql' | 'pg_dump' | 'pg_dumpall' | 'pg_restore',
    args: readonly string[],
    options: { input?: string; timeoutMs?: number } = {},
  ): Promise<Ran> {
    return await run(join(this.clientDir, tool), args, { env: this.clientEnv, ...options });
  }

  /** Starts the server again after `kill`; the port stays the same where it is still free. */
  async start(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      if (attempt > 1 || this.#port === 0) this.#port = await freePort();
      try {
        await this.#startOnce();
        return;
      } catch (error) {
        if (attempt === 5 || !(await this.logText()).includes('could not bind')) throw error;
      }
    }
  }

  async #startOnce(): Promise<void> {
    const data = join(this.directory, 'data');
    const log = openSync(join(this.directory, 'log'), 'a');
    const server = this.#owned.spawn(
      this.#executable,
      ['-D', data, '-p', String(this.#port), '-k', this.directory],
      { ...this.#account, env: serverEnv(), cwd: this.directory, stdio: ['ignore', log, log] },
      'QUIT',
    );
    closeSync(log);
    this.#server = server;
    const ready = waitFor(`PostgreSQL ${this.major} on port ${this.#port}`, async () => {
      if (hasExited(server)) throw new Error(`ended with ${server.signalCode ?? server.exitCode}`);
      // The last line of the file is the state; `ready` once connections are taken (utils/pidfile.h).
      const [pid, , , port, , , , state] = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split(
        '\n',
      );
      return pid === String(server.pid) && port === String(this.#port) && state?.trim() === 'ready';
    });
    try {
      await Promise.race([ready, once(server, 'error').then(([error]) => Promise.reject(error as Error))]);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const log = (await this.logText()).slice(-4000);
      throw new TestkitError('ServerDidNotStart', `PostgreSQL ${this.major} did not start: ${why}\n${log}`, { cause });
    }
  }

  /**
   * As a power cut would: every process of the server is gone at once and nothing is tidied up. `start` brings it back
   * by crash recovery; `stop` removes what is left.
   */
  async kill(): Promise<void> {
    const server = this.#server;
    if (!server || hasExited(server)) return;
    const exited = once(server, 'exit');
    server.ref();
    const backends = await childrenOf(server.pid);
    signalGroup(server, 'SIGKILL');
    for (const pid of backends) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has noticed the postmaster's death by itself.
      }
    }
    await exited;
  }

  /** Stops the server at once and removes everything. May be called twice. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server && !hasExited(server)) {
      const exited = once(server, 'exit');
      server.ref();
      signalGroup(server, 'SIGQUIT');
      await exited;
    }
    await this.#owned.end();
  }
}

/** Direct children, where the system tells them; elsewhere backends notice the postmaster's death by themselves. */
async function childrenOf(pid: number | undefined): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return children.split(' ').filter(Boolean).map(Number);
}
