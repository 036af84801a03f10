import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { PostgresCluster } from '@strideiq/testkit';
import pg from 'pg';

/** What one transaction saw. */
export interface Seen {
  /** Milliseconds, by `performance.now()`. */
  at: number;
  /** What stands in `generation`, and how many rows `ledger` had in the same snapshot. */
  generation: number;
  rows: number;
}

export interface ApplicationOptions {
  user: string;
  /** Transactions, of all its connections together. */
  perSecond: number;
  /** Whether each writes a row too. */
  writes: boolean;
}

const connections = 4;

/** SQLSTATEs of a connection that was ended, or could not be made while names change hands. */
const passing = new Set(['57P01', '57P03', '3D000', 'ECONNRESET', 'ECONNREFUSED']);

/** Writes and reads as an application does: some connections, a transaction every few milliseconds, and again where one is cut. */
export class LiveApplication {
  readonly seen: Seen[] = [];
  /** What was written, as far as the server has confirmed it. */
  readonly confirmed: string[] = [];
  /** What an application could not live with. */
  readonly errors: string[] = [];
  readonly #stop = new AbortController();
  readonly #workers: Promise<void>[];

  constructor(cluster: PostgresCluster, database: string, options: ApplicationOptions) {
    this.#workers = Array.from({ length: connections }, async () => this.#work(cluster, database, options));
  }

  async #work({ host, port }: PostgresCluster, database: string, options: ApplicationOptions): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const client = new pg.Client({ host, port, user: options.user, database });
      client.on('error', () => undefined);
      try {
        await client.connect();
        await this.#transactions(client, options);
      } catch (error) {
        const { code = '', message } = error as Error & { code?: string };
        const isCut = passing.has(code) || /Connection terminated|not queryable/.test(message);
        if (!isCut) this.errors.push(`${code} ${message}`);
      } finally {
        await client.end().catch(() => undefined);
      }
      await delay(5);
    }
  }

  async #transactions(client: pg.Client, { perSecond, writes }: ApplicationOptions): Promise<void> {
    const everyMs = (1000 * connections) / perSecond;
    while (!this.#stop.signal.aborted) {
      const began = performance.now();
      await client.query('BEGIN');
      const note = randomUUID();
      if (writes) await client.query('INSERT INTO app.writes (note) VALUES ($1)', [note]);
      const { rows } = await client.query<{ generation: number; rows: number }>(
        'SELECT (SELECT n FROM app.generation) AS generation, (SELECT count(*)::int FROM app.ledger) AS rows',
      );
      await client.query('COMMIT');
      if (writes) this.confirmed.push(note);
      const [row] = rows;
      if (row) this.seen.push({ at: performance.now(), ...row });
      await delay(Math.max(0, everyMs - (performance.now() - began)));
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#workers);
  }

  /** Time between the last transaction that saw the one, and the first that saw the other. */
  pauseMs(before: string, after: string): number {
    const sees = (what: string) => (seen: Seen) => `${seen.generation} ${seen.rows}` === what;
    return (this.seen.find(sees(after))?.at ?? Infinity) - (this.seen.findLast(sees(before))?.at ?? 0);
  }
}
