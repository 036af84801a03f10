import { isServerLevel, sessionEffect, setsPrivileges, type RelationName, type SettingsInForce } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { SqlSession } from '../postgres/sql-session.ts';
import type { LoadTally } from './load-tally.ts';
import { makeExtension } from './make-extension.ts';
import type { UntrustedRole } from './untrusted-role.ts';

export interface LoadSessionOptions {
  tally: LoadTally;
  signal: AbortSignal;
  /** Owners and grants in the dump's midst may be left out: it is not one of ours, which hold none. */
  foreign: boolean;
  /** Whose connection it is, where it was made for this dump; left out: the restoring role's own. */
  role?: UntrustedRole | undefined;
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
      // Tables of an extension are its maker's, and pg_dump writes them also where nobody has added a row.
      if (!isRefusal(error) || !this.#options.role || (await hasSome(rows))) throw this.#failure(error, `COPY ${name}`);
      this.#options.tally.addRows(table, 0);
    }
    this.#options.tally.addBytes(0);
  }

  async #execute(sql: Buffer): Promise<void> {
    const effect = sessionEffect(sql);
    if (effect.kind === 'unknown') this.#known = false;
    try {
      await this.#submit(sql);
    } catch (error) {
      const setting = unknownSetting(sql, error);
      if (setting !== undefined) this.#options.tally.leaveOutSetting(setting);
      else if (this.#mayLeaveOut(sql, error)) this.#options.tally.leaveOutPrivileges();
      else throw this.#failure(error, headOf(sql));
    }
    if (effect.kind === 'setting') this.#inForce.set(effect.name, sql);
  }

  async #submit(sql: Buffer): Promise<void> {
    const { role, tally } = this.#options;
    if (role && setsPrivileges(sql)) {
      await role.standIns.run(this.#session, sql, this.#clientEncoding);
      return;
    }
    try {
      await this.#session.run(sql);
    } catch (error) {
      if (!role || !isRefusal(error)) throw error;
      // It has the comment that its own script gives it.
      if (commentsOnExtension.test(sql.toString('latin1', 0, 100))) return;
      const extension = await makeExtension(role.options, sql, this.#clientEncoding);
      if (extension === undefined) throw error;
      tally.note(`The extension ${extension}, which is not marked trusted, was made by the restoring role itself.`);
    }
  }

  get #clientEncoding(): string {
    const set = this.#inForce.get('client_encoding')?.toString('latin1') ?? '';
    return /^\s*SET client_encoding = '(\w+)'/.exec(set)?.[1] ?? 'UTF8';
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
    const byOwnRole = isRefusal(error) && this.#options.role !== undefined;
    return new AgentError(
      'RestoreFailed',
      `PostgreSQL refused \`${statement}\`: ${message}${detail ? ` (${detail})` : ''}${where ? `, ${where}` : ''}.${byOwnRole ? ' The source is not trusted, so that its SQL runs by a role without superuser rights.' : ''}`,
      `The new database was dropped. ${byOwnRole ? cureOfRights : 'Mend the cause on the target server, and restore again.'}`,
      { cause: error },
    );
  }
}

const cureOfRights =
  'Whoever has read the dump can take out what only a superuser may make (an extension that is not marked trusted, an event trigger, a function in C …), restore the rest, and make that by hand; or run all of it by psql.';

/** For want of rights (PostgreSQL docs, appendix A). */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '42501';
}

async function hasSome(rows: AsyncIterable<Buffer>): Promise<boolean> {
  for await (const bytes of rows) if (bytes.length > 0) return true;
  return false;
}

const commentsOnExtension = /^\s*COMMENT ON EXTENSION /;

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
