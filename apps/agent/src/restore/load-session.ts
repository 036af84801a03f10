import { isServerLevel, sessionEffect, setsPrivileges, type RelationName, type SettingsInForce } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { SqlSession } from '../postgres/sql-session.ts';
import type { LoadTally } from './load-tally.ts';

export interface LoadSessionOptions {
  tally: LoadTally;
  signal: AbortSignal;
  /** Owners and grants in the dump's midst may be left out: it is not one of ours, which hold none. */
  foreign: boolean;
}

/** Runs a dump's statements over one connection, and knows which of the dump's settings are in force there. */
export class LoadSession {
  readonly connection: Connection;
  readonly #session: SqlSession;
  readonly #options: LoadSessionOptions;
  readonly #inForce = new Map<string, Buffer>();
  #known = true;

  constructor(connection: Connection, options: LoadSessionOptions) {
    this.connection = connection;
    this.#session = new SqlSession(connection);
    this.#options = options;
  }

  /** Nothing was run here that could have made it another session than its settings say. */
  get known(): boolean {
    return this.#known;
  }

  /** Makes the settings of a place of the dump be those of this session. */
  async set(settings: SettingsInForce): Promise<void> {
    for (const [name, sql] of settings) {
      if (this.#inForce.get(name)?.equals(sql) !== true) await this.#execute(sql);
    }
    for (const name of this.#inForce.keys()) {
      if (settings.has(name)) continue;
      // As before the dump set it, which it does further on.
      this.#inForce.delete(name);
      if (!this.#options.tally.leavesOut(name)) await this.runOwn(`RESET ${name}`);
    }
  }

  /**
   * Runs one statement of the dump as it stands.
   * @throws AgentError `RestoreFailed`
   */
  async run(sql: Buffer): Promise<void> {
    const { tally } = this.#options;
    if (isServerLevel(sql)) {
      // pg_dump's own, where the dump was not made by us: about the database that it was made of, not about this one.
      if (!setsPrivileges(sql)) throw serverLevel(headOf(sql));
      tally.leaveOutPrivileges();
    } else await this.#execute(sql);
    tally.addBytes(sql.length);
  }

  /** Runs a statement of our own making, about a table of the dump. */
  async runOwn(sql: Buffer | string): Promise<void> {
    const bytes = Buffer.from(sql as string);
    try {
      await this.#session.run(bytes);
    } catch (error) {
      throw this.#failure(error, headOf(bytes));
    }
  }

  /** Runs a COPY with these rows. */
  async copy(header: Buffer, table: RelationName, rows: AsyncIterable<Buffer>): Promise<void> {
    const name = `${table.schema}.${table.name}`;
    try {
      const { tag } = await this.#session.copyIn(header, this.#counted(rows, name));
      this.#options.tally.addRows(table, Number(/^COPY (\d+)$/.exec(tag)?.[1] ?? 0));
    } catch (error) {
      throw this.#failure(error, `COPY ${name}`);
    }
    this.#options.tally.addBytes(0);
  }

  async #execute(sql: Buffer): Promise<void> {
    const effect = sessionEffect(sql);
    if (effect.kind === 'unknown') this.#known = false;
    try {
      await this.#session.run(sql);
    } catch (error) {
      const setting = unknownSetting(sql, error);
      if (setting !== undefined) this.#options.tally.leaveOutSetting(setting);
      else if (this.#mayLeaveOut(sql, error)) this.#options.tally.leaveOutPrivileges();
      else throw this.#failure(error, headOf(sql));
    }
    if (effect.kind === 'setting') this.#inForce.set(effect.name, sql);
  }

  /**
   * Dumps of others set owners and grants in their midst, for roles that may not be here or not ours to act for: the
   * rows are worth more than they.
   */
  #mayLeaveOut(sql: Buffer, error: unknown): boolean {
    const refused = error instanceof Error && 'code' in error && ['42501', '42704'].includes(String(error.code));
    return refused && this.#options.foreign && setsPrivileges(sql);
  }

  async *#counted(rows: AsyncIterable<Buffer>, table: string): AsyncGenerator<Buffer> {
    for await (const bytes of rows) {
      this.#options.signal.throwIfAborted();
      this.#options.tally.addBytes(bytes.length, table);
      yield bytes;
    }
  }

  /** PostgreSQL's own errors get the statement's name; what reading threw is already clear. */
  #failure(error: unknown, statement: string): unknown {
    this.#options.signal.throwIfAborted();
    if (!(error instanceof Error) || !('severity' in error)) return error;
    const { message, where, detail } = error as Error & { where?: string; detail?: string };
    return new AgentError(
      'RestoreFailed',
      `PostgreSQL refused \`${statement}\`: ${message}${detail ? ` (${detail})` : ''}${where ? `, ${where}` : ''}.`,
      'The new database was dropped. Mend the cause on the target server, and restore again.',
      { cause: error },
    );
  }
}

function serverLevel(statement: string): AgentError {
  return new AgentError(
    'RestoreFailed',
    `The dump holds \`${statement}\`, which is about the server and its other databases, not about the new one; it was not run.`,
    'A dump made with `pg_dump --create` or by pg_dumpall holds such statements: make it without, or restore it with psql on a server where nothing else is.',
  );
}

/** The name in a `SET name = …` that the server does not know (42704); undefined for every other error. */
function unknownSetting(sql: Buffer, error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || error.code !== '42704') return undefined;
  return /^\s*SET (\w+) = /.exec(sql.toString('latin1', 0, 200))?.[1];
}

/** The first line of a statement, at most 120 characters. */
function headOf(sql: Buffer): string {
  const text = sql.toString('utf8', 0, 400).trim().split('\n')[0] ?? '';
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}
