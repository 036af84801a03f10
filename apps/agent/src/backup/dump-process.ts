import { AgentError } from '../errors.ts';
import type { ChildProcess } from '../postgres/child-process.ts';
import { startTool, type Tool } from '../postgres/client-tools.ts';
import { answered, type Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import type { Watched } from './watch-dump.ts';

export interface DumpProcessOptions {
  tool: Tool;
  endpoint: Endpoint;
  snapshotId: string;
  /** The database's own, so that PGCLIENTENCODING of whoever runs us decides nothing. */
  encoding: string;
  applicationName: string;
  excludeTables: readonly string[];
  excludeTableData: readonly string[];
  lockWaitLimitMs: number;
}

/** pg_dump at work: its output as a source that *ends* only when it exited 0, and errors in every other case. */
export class DumpProcess implements Watched {
  readonly #child: ChildProcess;
  readonly #applicationName: string;
  readonly #chunks: AsyncIterator<Buffer>;
  #first: IteratorResult<Buffer> | undefined;
  #failure: Error | undefined;
  /** When it last gave us something, or when we last let it wait; milliseconds of `performance.now()`. */
  #lastMovedAt = performance.now();
  #waitingForUs = false;
  #hasEnded = false;

  constructor(options: DumpProcessOptions) {
    this.#applicationName = options.applicationName;
    this.#child = startTool(options.tool, options.endpoint, dumpArguments(options), options);
    this.#chunks = this.#child.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /**
   * Resolves when the first byte has come. pg_dump writes nothing before it has locked every table it will dump
   * (pg_dump.c: getSchemaData, before RestoreArchive), so from then on no table can move.
   * @throws AgentError `DumpFailed` where it ended without a byte
   */
  async started(): Promise<void> {
    this.#first = await this.#next();
  }

  /** What pg_dump writes. To be read once. */
  async *output(): AsyncGenerator<Buffer> {
    let step = this.#first ?? (await this.#next());
    while (step.done !== true) {
      this.#waitingForUs = true;
      yield step.value;
      this.#waitingForUs = false;
      step = await this.#next();
    }
  }

  async #next(): Promise<IteratorResult<Buffer>> {
    this.#lastMovedAt = performance.now();
    const step = await this.#chunks.next().catch((error: unknown) => {
      throw this.#failure ?? error;
    });
    this.#lastMovedAt = performance.now();
    if (step.done !== true) return step;
    const outcome = await this.#child.ended;
    this.#hasEnded = true;
    if (this.#failure) throw this.#failure;
    if (outcome.exitCode === 0) return step;
    const how = outcome.signal
      ? `was killed by ${outcome.signal}`
      : `ended with exit code ${outcome.exitCode ?? outcome.startError}`;
    throw new AgentError(
      'DumpFailed',
      `pg_dump ${how}: ${outcome.stderr || 'it gave no reason'}`,
      'Nothing of this dump was kept. Mend the cause that pg_dump names, and run the backup again.',
    );
  }

  /** Why it was stopped, where it was. */
  get stoppedBy(): Error | undefined {
    return this.#failure;
  }

  /** Milliseconds that pg_dump has given nothing although we were reading; one that has ended is not silent. */
  get silentMs(): number {
    return this.#waitingForUs || this.#hasEnded ? 0 : performance.now() - this.#lastMovedAt;
  }

  /**
   * Ends pg_dump, and its session on the server too: behind `docker exec` the signal reaches only the client here.
   * @param reason what whoever reads the output is told
   */
  async stop(reason: Error, connection?: Connection): Promise<void> {
    this.#failure ??= reason;
    const ended = this.#child.stop();
    // A server that does not answer must not keep us from ending: its connection is cut, whoever else waits on it.
    if (connection) await answered(connection, this.#endSession(connection), 5000).catch(() => undefined);
    await ended;
  }

  async #endSession(connection: Connection): Promise<void> {
    const end = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1';
    await connection.query('SELECT pg_stat_clear_snapshot()').catch(() => undefined);
    await connection.query(end, [this.#applicationName]).catch(() => undefined);
  }

  /**
   * Whether pg_dump itself hangs: silent for `limitMs` while we read, with its session on the server waiting for *it*,
   * or gone. A session that waits for a lock, or works, is no hang.
   */
  async hangs(limitMs: number, connection: Connection): Promise<AgentError | undefined> {
    if (this.silentMs < limitMs) return undefined;
    // Inside a transaction the view is a picture of its first use.
    await connection.query('SELECT pg_stat_clear_snapshot()');
    const { rows } = await connection.query<{ state: string; wait: string | null }>(
      'SELECT state, wait_event_type AS wait FROM pg_stat_activity WHERE application_name = $1',
      [this.#applicationName],
    );
    const session = rows[0];
    if (this.silentMs < limitMs || (session && session.wait !== 'Client')) return undefined;
    const how = session ? `its session on the server waits for it (${session.state})` : 'its session is gone';
    return new AgentError(
      'DumpHangs',
      `pg_dump has written nothing for ${Math.round(this.silentMs / 1000)} s while ${how}.`,
      'It was ended, and nothing of this dump was kept. Look for a stopped process or a cut connection between pg_dump and the server, and run the backup again.',
    );
  }
}

/**
 * No subscriptions: the dump loads anywhere. Owners and grants are set aside as they come. The key of `\\restrict` stays
 * pg_dump's own random one: a known key would let rows of the database talk to psql.
 */
function dumpArguments(options: DumpProcessOptions): string[] {
  return [
    '--format=plain',
    '--no-subscriptions',
    `--encoding=${options.encoding}`,
    `--snapshot=${options.snapshotId}`,
    `--lock-wait-timeout=${options.lockWaitLimitMs}`,
    ...options.excludeTables.map((pattern) => `--exclude-table=${pattern}`),
    ...options.excludeTableData.map((pattern) => `--exclude-table-data=${pattern}`),
  ];
}

/** Whether pg_dump gave up waiting for a lock: it waits by statement_timeout where the server knows no other way (pg_dump.c, getTables). */
export function isLockTimeout(error: unknown): error is AgentError {
  return isDumpFailure(error) && /(lock|statement) timeout[^]*LOCK TABLE/.test(error.message);
}

export function isDumpFailure(error: unknown): error is AgentError {
  return error instanceof AgentError && error.code === 'DumpFailed';
}
