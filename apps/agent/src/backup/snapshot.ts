import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../errors.ts';
import { answered, endConnection, type Connection } from '../postgres/connect.ts';
import { SqlSession } from '../postgres/sql-session.ts';
import { readTableStates } from './table-states.ts';

/** A moment of the database that others can join, kept open by the leader's transaction. */
export interface Snapshot {
  /** For `pg_dump --snapshot`. */
  id: string;
  takenAt: Date;
  /** `pg_current_wal_lsn()`, or the replayed position on a standby. */
  walPosition: string;
  standby: boolean;
}

/**
 * More locks than this would fill the server's shared lock table, which holds 6,400 by default for all sessions
 * together (max_locks_per_transaction × max_connections), and pg_dump takes as many again.
 */
const mostTables = 2000;
const pingEveryMs = 30_000;

/**
 * The connection that holds locks and snapshot while others dump (dump-format.md, "Writing").
 *
 * The locks come first and the snapshot after them: a TRUNCATE or a rewrite between a snapshot and a later lock makes
 * pg_dump write zero rows with exit 0. Tables beyond the locked ones are compared by `movedTables` once pg_dump holds
 * its own locks.
 */
export class Leader {
  readonly #connection: Connection;
  readonly #reconnect: () => Promise<Connection>;
  readonly #answerLimitMs: number;
  #ping: NodeJS.Timeout | undefined;
  #leftOut: readonly number[] = [];

  /**
   * @param reconnect another connection to the same database, which sees what is there now
   * @param answerLimitMs how long the server may take for an answer before it counts as lost
   */
  constructor(connection: Connection, reconnect: () => Promise<Connection>, answerLimitMs: number) {
    this.#connection = connection;
    this.#reconnect = reconnect;
    this.#answerLimitMs = answerLimitMs;
  }

  /** Tables that are not dumped, by object id: whoever holds or changes them is none of our business. */
  leaveOut(tables: readonly number[]): void {
    this.#leftOut = tables;
  }

  /**
   * Locks the tables, then takes and exports a snapshot. Where a lock cannot be had at once, everything is let go and
   * tried again: waiting in the lock queue would make the application wait behind us.
   * @param waitLimitMs how long to keep trying
   * @throws AgentError `LockNotAvailable` naming the table and who holds it; `PrivilegeMissing`
   */
  async begin(waitLimitMs: number, signal: AbortSignal): Promise<Snapshot> {
    const giveUpAt = performance.now() + waitLimitMs;
    for (let pauseMs = 100; ; pauseMs = Math.min(pauseMs * 2, 5000)) {
      const refusal = await answered(this.#connection, this.#lockAndExport(), this.#answerLimitMs);
      if (!(refusal instanceof Error)) return refusal;
      if (performance.now() + pauseMs > giveUpAt) throw await this.lockError(refusal, waitLimitMs);
      await delay(pauseMs, undefined, { signal });
    }
  }

  async #lockAndExport(): Promise<Snapshot | Error> {
    const connection = this.#connection;
    // Listed in a transaction of its own: any query inside the next one would take its snapshot before the locks.
    const lock = await this.#lockStatement();
    await connection.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    try {
      if (lock) await new SqlSession(connection).run(lock);
      const { rows } = await connection.query<{ id: string; lsn: string; standby: boolean; now: Date }>(
        `SELECT pg_export_snapshot() AS id, pg_is_in_recovery() AS standby, clock_timestamp() AS now,
                CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn`,
      );
      const row = rows[0];
      if (!row) throw new Error('pg_export_snapshot returned nothing');
      this.#keepAlive();
      return { id: row.id, takenAt: row.now, walPosition: row.lsn, standby: row.standby };
    } catch (error) {
      await connection.query('ROLLBACK');
      if (isLockRefusal(error)) return error;
      throw error;
    }
  }

  /**
   * Locks ordinary tables and partitions that we may read, largest first; those of extensions are pg_dump's business.
   * As bytes, since names in a database without an encoding (SQL_ASCII) may be no text.
   */
  async #lockStatement(): Promise<Buffer | null> {
    const { rows } = await this.#connection.query<{ lock: Buffer | null }>(
      `SELECT textsend('LOCK TABLE ' || string_agg('ONLY ' || name, ', ') || ' IN ACCESS SHARE MODE NOWAIT') AS lock FROM (
         SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            AND c.relpersistence <> 't' AND NOT c.oid::int8::float8 = ANY ($1::float8[])
            AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
          ORDER BY c.relpages DESC, c.oid LIMIT ${mostTables}) AS tables`,
      [this.#leftOut],
    );
    return rows[0]?.lock ?? null;
  }

  /** A firewall or a proxy drops a connection that says nothing for hours, and the snapshot with it. */
  #keepAlive(): void {
    clearInterval(this.#ping);
    let isAsking = false;
    const ping = async () => {
      if (isAsking) return;
      isAsking = true;
      await this.#connection.query('SELECT 1').catch(() => undefined);
      isAsking = false;
    };
    this.#ping = setInterval(() => void ping(), pingEveryMs);
    this.#ping.unref();
  }

  /**
   * Tables that are no longer what the snapshot sees: rewritten, truncated, renamed, dropped or with other columns. A
   * materialised view may be refreshed as often as it likes: none of its rows are dumped.
   * @param locked resolves once pg_dump holds its own locks; from then on nothing can move any more
   * @throws AgentError as `connect` does; whatever `locked` rejects with
   */
  async movedTables(locked: Promise<void>): Promise<string[]> {
    const limitMs = this.#answerLimitMs;
    const seen = answered(this.#connection, readTableStates(this.#connection, this.#leftOut), limitMs);
    const [then] = await Promise.all([seen, locked]).catch(async (error: unknown) => {
      // Whoever ends pg_dump asks over this connection.
      await seen.catch(() => undefined);
      throw error;
    });
    const other = await this.#reconnect();
    try {
      const now = await answered(other, readTableStates(other, this.#leftOut), limitMs);
      return [...then].flatMap(([oid, { name, state }]) => (now.get(oid)?.state === state ? [] : [name])).toSorted();
    } finally {
      await endConnection(other);
    }
  }

  /** For what is to be read at the snapshot's moment. */
  get connection(): Connection {
    return this.#connection;
  }

  /** Lets go of snapshot and locks; the connection stays. */
  async release(): Promise<void> {
    clearInterval(this.#ping);
    await answered(this.#connection, this.#connection.query('ROLLBACK'), 10_000);
  }

  /** Ends the connection, and with it everything it holds. */
  async end(): Promise<void> {
    clearInterval(this.#ping);
    await endConnection(this.#connection);
  }

  /** Says who holds the table whose lock `refusal` was about. */
  async lockError(refusal: Error, waitLimitMs: number): Promise<AgentError> {
    const { rows } = await this.#connection.query<{ name: string; pid: number; who: string; query: string }>(
      `SELECT l.relation::regclass::text AS name, a.pid, a.application_name AS who, left(a.query, 120) AS query
         FROM pg_locks l JOIN pg_stat_activity a USING (pid) LEFT JOIN pg_class c ON c.oid = l.relation
        WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_backend_pid()
          AND l.relation >= 16384 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        ORDER BY position('"' || c.relname || '"' IN $1) > 0 DESC, a.xact_start LIMIT 1`,
      [refusal.message],
    );
    const holder = rows[0];
    const by = holder
      ? ` ${holder.name} is held by server process ${holder.pid} (${holder.who || 'unnamed'}): ${holder.query}.`
      : '';
    return new AgentError(
      'LockNotAvailable',
      `For ${Math.round(waitLimitMs / 1000)} s a table could not be locked for reading: ${refusal.message}.${by}`,
      `Wait until that session is done${holder ? `, or end it with \`SELECT pg_terminate_backend(${holder.pid})\`` : ''}, and run the backup again; \`dump.lockWaitLimit\` in the configuration sets how long to try.`,
      { cause: refusal },
    );
  }
}

/** 55P03 lock_not_available; 42P01 and 3F000: dropped between the listing and the lock. */
export function isLockRefusal(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && ['55P03', '42P01', '3F000'].includes(String(error.code));
}
