import type { RowsWriter } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import { answered, endConnection, type Connection } from '../postgres/connect.ts';
import { copyOut, type CopyWatch } from '../postgres/copy-out.ts';
import { ServerError } from '../postgres/server-error.ts';
import { SqlSession } from '../postgres/sql-session.ts';
import type { LaneTable } from './lane-tables.ts';
import { copyStatement, describeTask, type LaneTask } from './lane-tasks.ts';

/**
 * Rows in the very form in which pg_dump would write them (pg_dump.c, setup_connection), and by a plan that follows the
 * table's pages. Timeouts are off, and dates in ISO style, since `connect`.
 */
export const dumpSessionSettings = `
  SET IntervalStyle = 'postgres'; SET extra_float_digits = 3; SET synchronize_seqscans = off;
  SET row_security = off; SET enable_tidscan = on; SET max_parallel_workers_per_gather = 0; SET jit = off`;

/** A connection that reads tables on the leader's snapshot beside pg_dump. */
export class Lane {
  readonly applicationName: string;
  readonly #connection: Connection;
  readonly #answerLimitMs: number;
  readonly #watch: CopyWatch = { lastMovedAt: 0, waitingForUs: false };
  #task: LaneTask | undefined;

  constructor(connection: Connection, applicationName: string, answerLimitMs: number) {
    this.#connection = connection;
    this.applicationName = applicationName;
    this.#answerLimitMs = answerLimitMs;
  }

  /**
   * Joins the snapshot and locks the tables, without waiting: behind a migration that waits for the leader it would wait
   * for ever, and PostgreSQL cannot see that deadlock.
   * @param encoding of the database, as pg_dump's own session has it
   * @throws pg.DatabaseError where a lock cannot be had, or the snapshot is not known there
   */
  async join(snapshotId: string, encoding: string, tables: readonly LaneTable[]): Promise<void> {
    await answered(this.#connection, this.#join(snapshotId, encoding, tables), this.#answerLimitMs);
  }

  async #join(snapshotId: string, encoding: string, tables: readonly LaneTable[]): Promise<void> {
    await this.#connection.query(dumpSessionSettings);
    await this.#connection.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    await this.#connection.query(`SET TRANSACTION SNAPSHOT '${snapshotId}'`);
    await this.#connection.query("SELECT set_config('client_encoding', $1, false)", [encoding]);
    const names = tables.flatMap(({ relation }) => [Buffer.from(', ONLY '), relation]).slice(1);
    const session = new SqlSession(this.#connection);
    await session.run(
      Buffer.concat([Buffer.from('LOCK TABLE ONLY '), ...names, Buffer.from(' IN ACCESS SHARE MODE NOWAIT')]),
    );
  }

  /** Lets go of snapshot and locks; the connection stays. */
  async leave(): Promise<void> {
    await answered(this.#connection, this.#connection.query('ROLLBACK'), this.#answerLimitMs);
  }

  /**
   * Writes a task's rows.
   * @throws AgentError `DumpFailed` with the table and the server's words; `ConnectionLost`; whatever `rows` throws
   */
  async read(task: LaneTask, encoding: string, rows: RowsWriter): Promise<void> {
    try {
      await rows.begin(task.table.header, encoding);
      const take = (bytes: Buffer, from: number, to: number, ends: boolean) => rows.write(bytes, from, to, ends);
      this.#watch.lastMovedAt = performance.now();
      this.#task = task;
      await copyOut(this.#connection, copyStatement(task), take, this.#watch);
      this.#task = undefined;
      await rows.end();
    } catch (error) {
      throw this.#told(error, task);
    }
  }

  #told(error: unknown, task: LaneTask): unknown {
    if (error instanceof ServerError) {
      const detail = error.detail === undefined ? '' : ` (${error.detail})`;
      return new AgentError(
        'DumpFailed',
        `The server ended reading ${describeTask(task)}: ${error.message}${detail}.`,
        'Nothing of this dump was kept. Mend the cause that the server names, and run the backup again.',
        { cause: error },
      );
    }
    if (!(error instanceof AgentError && error.code === 'ConnectionLost')) return error;
    return new AgentError(
      'ConnectionLost',
      `The connection that read ${describeTask(task)} was lost.`,
      'Nothing of this dump was kept. Look whether the server was restarted or the session ended, and run the backup again.',
      { cause: error },
    );
  }

  /** What it reads now, and for how many milliseconds it has got nothing of it although it would have taken it. */
  get silence(): { ms: number; what: string } {
    const task = this.#task;
    if (!task || this.#watch.waitingForUs) return { ms: 0, what: '' };
    return { ms: performance.now() - this.#watch.lastMovedAt, what: describeTask(task) };
  }

  /** Cuts the connection: whatever is under way fails. */
  cut(): void {
    this.#connection.connection.stream.destroy();
  }

  async end(): Promise<void> {
    await endConnection(this.#connection);
  }
}
