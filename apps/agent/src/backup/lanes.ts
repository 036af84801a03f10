import { paragraphOf } from '@strideiq/core';
import type { Lane as DumpLane } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import { answered, type Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { connectUntil } from './connect-until.ts';
import { Lane } from './lane.ts';
import { readLaneTables, type LaneTable } from './lane-tables.ts';
import { planLaneTasks, type LaneTask } from './lane-tasks.ts';
import { isLockRefusal, type Snapshot } from './snapshot.ts';
import type { Watched } from './watch-dump.ts';

export interface LanesOptions {
  endpoint: Endpoint;
  applicationName: string;
  /** Connections that read rows at once; with one pg_dump reads everything. */
  jobs: number;
  /** Tables from this size on are read by lanes. */
  leastTableBytes: number;
  /** Of the database. */
  encoding: string;
  /** Of the server. */
  major: number;
  /** Object ids of tables that are dumped without rows. */
  withoutRows: readonly number[];
  /** How long the server may take for an answer. */
  answerLimitMs: number;
  signal: AbortSignal;
}

/** pg_dump's own, and that of whoever reads owners and grants beside it: lanes must not take their places. */
const connectionsLater = 2;

/** Locks of all lanes together: beside those of leader and pg_dump they must fit into the server's table of 6,400. */
const mostLocks = 2000;

/**
 * The connections that read the large tables on the leader's snapshot while pg_dump writes the rest (dump-format.md,
 * "Writing"). Where there can be none, pg_dump reads everything, and `warnings` says why.
 */
export class Lanes implements Watched {
  readonly warnings: string[] = [];
  readonly #options: LanesOptions;
  #lanes: Lane[] = [];
  #tables: readonly LaneTable[] = [];
  #tasks: LaneTask[] = [];
  #usable: boolean;
  readonly #cut = () => this.#lanes.forEach((lane) => lane.cut());

  constructor(options: LanesOptions) {
    this.#options = options;
    this.#usable = options.jobs > 1;
    options.signal.addEventListener('abort', this.#cut, { once: true });
  }

  /** Patterns of the tables that lanes read, for `--exclude-table-data`. */
  get patterns(): string[] {
    return this.#tables.map(({ pattern }) => pattern);
  }

  /** How many read; none where pg_dump reads everything. */
  get count(): number {
    return this.#tables.length === 0 ? 0 : this.#lanes.length;
  }

  /**
   * Has the lanes join a snapshot, with locks on the tables that they will read. Opens connections where there are none yet.
   * @param leader holds snapshot and locks
   * @throws where a lock cannot be had: `isLockRefusal` knows it
   */
  async join(leader: Connection, snapshot: Snapshot): Promise<void> {
    const { answerLimitMs, jobs, leastTableBytes, withoutRows, encoding, major } = this.#options;
    this.#tables = [];
    if (!this.#usable) return;
    const most = Math.floor(mostLocks / jobs);
    const limits = { leastBytes: leastTableBytes, most, withoutRows, standby: snapshot.standby };
    const tables = await answered(leader, readLaneTables(leader, limits), answerLimitMs);
    if (tables.length === 0) return;
    this.#tasks = planLaneTasks(tables, jobs, major >= 14);
    try {
      if (this.#lanes.length === 0) await this.#open(Math.min(jobs, this.#tasks.length));
      const joined = this.#lanes.map(async (lane) => lane.join(snapshot.id, encoding, tables));
      await Promise.allSettled(joined);
      await Promise.all(joined);
      this.#tables = tables;
    } catch (error) {
      if (isLockRefusal(error)) throw error;
      this.#options.signal.throwIfAborted();
      await this.#doWithout(error);
    }
  }

  /** One connection less than wished is better than none. */
  async #open(count: number): Promise<void> {
    const { applicationName, jobs, signal } = this.#options;
    const names = Array.from({ length: count }, (_, at) => `${applicationName}-lane-${at + 1}`);
    // The last ones only show that there is room for what comes later.
    const later = Array.from({ length: connectionsLater }, () => applicationName);
    const opening = [...names, ...later].map(async (name) => this.#connect(name));
    const opened = await Promise.allSettled(opening);
    const lanes = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const spare = lanes.splice(Math.max(0, lanes.length - connectionsLater));
    this.#lanes.push(...lanes);
    await Promise.all(spare.map(async (lane) => lane.end()));
    // What came after an interrupt has not been told of it.
    if (signal.aborted) this.#cut();
    const [failed] = opened.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    if (failed === undefined) return;
    if (this.#lanes.length === 0) throw failed;
    const { length } = this.#lanes;
    this.warnings.push(`Rows were read by ${length} of ${jobs} connections: ${paragraphOf(failed)}`);
  }

  async #connect(name: string): Promise<Lane> {
    const { endpoint, answerLimitMs, signal } = this.#options;
    const connection = await connectUntil(signal, endpoint, { applicationName: name, readsMuch: true });
    return new Lane(connection, name, answerLimitMs);
  }

  async #doWithout(reason: unknown): Promise<void> {
    this.warnings.push(`Rows were read by pg_dump alone, which takes longer: ${paragraphOf(reason)}`);
    this.#usable = false;
    await this.end();
  }

  /** Lets go of snapshot and locks; the connections stay for the next attempt. */
  async leave(): Promise<void> {
    this.#tables = [];
    await Promise.all(this.#lanes.map(async (lane) => lane.leave()));
  }

  /** What the lanes of the dump do: each takes the next task until there is none. */
  work(): DumpLane[] {
    const tasks = [...this.#tasks];
    return this.#tables.length === 0 ? [] : this.#lanes.map((lane): DumpLane => this.#work.bind(this, lane, tasks));
  }

  async #work(lane: Lane, tasks: LaneTask[], ...[rows, failed]: Parameters<DumpLane>): Promise<void> {
    const cut = () => lane.cut();
    failed.addEventListener('abort', cut, { once: true });
    try {
      for (let task = tasks.shift(); task; task = tasks.shift()) {
        failed.throwIfAborted();
        await lane.read(task, this.#options.encoding, rows);
      }
    } finally {
      failed.removeEventListener('abort', cut);
    }
  }

  /** As `DumpProcess.hangs`, for each of them. */
  async hangs(limitMs: number, connection: Connection): Promise<AgentError | undefined> {
    for (const lane of this.#lanes) {
      if (lane.silence.ms < limitMs) continue;
      // Inside a transaction the view is a picture of its first use.
      await connection.query('SELECT pg_stat_clear_snapshot()');
      const { rows } = await connection.query<{ state: string; wait: string | null }>(
        'SELECT state, wait_event_type AS wait FROM pg_stat_activity WHERE application_name = $1',
        [lane.applicationName],
      );
      const session = rows[0];
      const { ms, what } = lane.silence;
      if (ms < limitMs || (session && session.wait !== 'Client')) continue;
      const how = session ? `its session on the server waits for us (${session.state})` : 'its session is gone';
      return new AgentError(
        'DumpHangs',
        `The connection that reads ${what} has brought nothing for ${Math.round(ms / 1000)} s while ${how}.`,
        'It was ended, and nothing of this dump was kept. Look for a cut connection between this host and the server, and run the backup again.',
      );
    }
    return undefined;
  }

  /** Cuts the connections, and ends their sessions on the server too: behind a command they may not hear of it. */
  async stop(_reason: Error, connection?: Connection): Promise<void> {
    this.#cut();
    if (!connection || this.#lanes.length === 0) return;
    const end = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ANY ($1)';
    const names = this.#lanes.map(({ applicationName }) => applicationName);
    const ending = connection.query('SELECT pg_stat_clear_snapshot()').then(async () => connection.query(end, [names]));
    await answered(connection, ending, 5000).catch(() => undefined);
  }

  /** Ends the connections. */
  async end(): Promise<void> {
    this.#options.signal.removeEventListener('abort', this.#cut);
    await Promise.all(this.#lanes.splice(0).map(async (lane) => lane.end()));
  }
}
