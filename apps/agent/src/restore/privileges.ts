import { once, readAll } from '@strideiq/storage';
import type { Manifest } from '@strideiq/core';
import { DumpSession, gunzip, isServerLevel, readDump } from '@strideiq/dump';
import { sha256 } from '../backup/manifest.ts';
import { endOfRoles } from '../backup/privileges.ts';
import type { BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { SqlSession } from '../postgres/sql-session.ts';
import type { StandIns } from './stand-ins.ts';

/**
 * Owners, grants and database settings of a backup, given back before anyone is let in (dump-format.md): until then a
 * restored function that runs with its owner's rights would run with the restoring role's, for anyone.
 */
export class Privileges {
  readonly #object: readonly Buffer[];
  readonly #database: readonly Buffer[];
  readonly #leftOut = new Map<string, number>();
  readonly #refused = new Set<string>();

  /**
   * @param object statements on objects of the database, in the order in which they are to run
   * @param database statements on the database itself
   */
  constructor(object: readonly Buffer[], database: readonly Buffer[]) {
    this.#object = object;
    this.#database = database;
  }

  /**
   * Reads what stands beside a backup whose manifest names it.
   * @throws AgentError `VerificationFailed` where it is not the file that was made
   */
  static async ofBackup({ opened }: BackupSource, expected: NonNullable<Manifest['privileges']>): Promise<Privileges> {
    const bytes = await readAll(await opened.store.get(expected.name));
    if (sha256(bytes) !== expected.sha256) {
      throw new AgentError(
        'VerificationFailed',
        `${expected.name} is not the file that was made: its SHA-256 differs.`,
        'Restore from another copy; `strideiq-agent verify` tells which are whole.',
      );
    }
    return Privileges.of(bytes);
  }

  /** @param sidecar as `dumpPrivileges` made it */
  static async of(sidecar: Buffer): Promise<Privileges> {
    const text = await readAll(gunzip(once(sidecar)));
    const object: Buffer[] = [];
    const database: Buffer[] = [];
    const afterRoles = text.subarray(text.indexOf(`\n${endOfRoles}\n`) + endOfRoles.length + 2);
    for await (const piece of readDump(once(afterRoles), { closingLine: false })) {
      if (piece.kind === 'statement') (isServerLevel(piece.sql) ? database : object).push(piece.sql);
    }
    return new Privileges(object, database);
  }

  /** Statements on objects of the database. */
  get ofObjects(): readonly Buffer[] {
    return this.#object;
  }

  /** Statements on the database itself. */
  get ofDatabase(): readonly Buffer[] {
    return this.#database;
  }

  /** Roles that own something or have a right, and that a server lacks: what is told of them is left out there. */
  async missingRoles(connection: Connection): Promise<string[]> {
    const named = [...this.#object, ...this.#database].flatMap((sql) => {
      const [, list = ''] = namesRoles.exec(sql.toString('latin1')) ?? [];
      return Array.from(list.matchAll(eachIdentifier), ([role]) => unquoted(role));
    });
    const { rows } = await connection.query<{ name: string }>(
      `SELECT wanted AS name FROM unnest($1::text[]) AS wanted
        WHERE wanted <> 'PUBLIC' AND wanted NOT IN (SELECT rolname FROM pg_roles) ORDER BY 1`,
      [[...new Set(named)]],
    );
    return rows.map(({ name }) => name);
  }

  /** Whether the source lets everyone connect, as PostgreSQL does unless somebody revokes it. */
  get opensToPublic(): boolean {
    return !this.#database.some((sql) => /^\s*REVOKE .*CONNECT.* FROM PUBLIC;/s.test(sql.toString('latin1')));
  }

  /**
   * Gives objects to their owners as soon as they are there: what then runs on their behalf, such as the function in a
   * materialised view, runs with their rights. What cannot be done yet is done by `apply`.
   */
  async applyOwners(connection: Connection): Promise<void> {
    const session = new SqlSession(connection);
    for (const sql of this.#object) {
      if (setsOwner.test(sql.toString('latin1'))) await session.run(sql).catch(() => undefined);
    }
  }

  /**
   * Everything on the database's objects. What the server refuses is left out, and told by `notes`.
   * @param standIns where the connection is that of a role made for an untrusted dump
   */
  async apply(connection: Connection, standIns?: StandIns): Promise<void> {
    const session = new SqlSession(connection);
    const follower = new DumpSession();
    for (const sql of this.#object) {
      follower.follow(sql);
      await this.#attempt(async () => this.#run(session, sql, follower, standIns));
    }
  }

  async #run(session: SqlSession, sql: Buffer, { scan }: DumpSession, standIns: StandIns | undefined): Promise<void> {
    if (standIns) await standIns.run(session, sql, scan.clientEncoding);
    else await session.run(sql);
  }

  /** What concerns the database itself; its statements bear the source's name, and are run for `name`. */
  async applyToDatabase(connection: Connection, name: string, standIns?: StandIns): Promise<void> {
    const session = new SqlSession(connection);
    const follower = new DumpSession();
    // What their bytes mean stands before those on objects.
    for (const sql of this.#object.filter((each) => setsEncoding.test(each.toString('latin1')))) {
      follower.follow(sql);
      await session.run(sql);
    }
    for (const sql of this.#database) {
      const statement = Buffer.from(named(sql.toString('latin1'), name), 'latin1');
      await this.#attempt(async () => this.#run(session, statement, follower, standIns));
    }
  }

  /** Of what concerns the database only its settings: it stays closed, and its owner's. */
  async applySettings(connection: Connection, name: string): Promise<void> {
    await this.#applySome(connection, name, setsParameter);
  }

  /** The least that SQL of the host's own needs to find what it means by short names. */
  async applySearchPath(connection: Connection, name: string): Promise<void> {
    await this.#applySome(connection, name, setsSearchPath);
  }

  async #applySome(connection: Connection, name: string, only: RegExp): Promise<void> {
    const settings = this.#database.filter((sql) => only.test(sql.toString('latin1')));
    await new Privileges(this.#object, settings).applyToDatabase(connection, name);
  }

  async #attempt(step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (!(error instanceof Error) || !('severity' in error)) throw error;
      this.#leftOut.set(error.message, (this.#leftOut.get(error.message) ?? 0) + 1);
      if (!('code' in error && absent.has(String(error.code)))) this.#refused.add(error.message);
    }
  }

  /** What the server did not do although all that it is about is there, as it says it: what the restoring role may not, say. */
  get refused(): string[] {
    return [...this.#refused];
  }

  get notes(): string[] {
    return [...this.#leftOut].map(
      ([why, times]) => `Left out of owners and grants${times > 1 ? `, ${times} times` : ''}: ${why}.`,
    );
  }
}

const identifier = String.raw`(?:"(?:[^"]|"")*"|[^\s";]+)`;
const identifiers = String.raw`(${identifier}(?:, ${identifier})*)`;
/** The end of what gives an owner, or rights (pg_dump writes one role each, and people may write several). */
const namesRoles = new RegExp(String.raw` (?:OWNER TO|TO|FROM) ${identifiers}(?: WITH GRANT OPTION)?;\s*$`);
const eachIdentifier = new RegExp(identifier.replace(String.raw`[^\s";]`, String.raw`[^\s",;]`), 'g');

/** As PostgreSQL knows it. */
function unquoted(role: string): string {
  const name = role.startsWith('"') ? role.slice(1, -1).replaceAll('""', '"') : role;
  return Buffer.from(name, 'latin1').toString();
}

const setsOwner = new RegExp(String.raw` OWNER TO ${identifier};\s*$`);
const setsEncoding = /^\s*SET (?:client_encoding|standard_conforming_strings)\b/;
/** Object, column, function, schema or role is not there, or is of another kind (PostgreSQL docs, appendix A). */
const absent = new Set(['42P01', '42703', '42883', '42704', '3F000', '42809']);
const setsSearchPath = new RegExp(
  String.raw`^\s*ALTER (?:ROLE ${identifier} IN )?DATABASE ${identifier} SET search_path `,
);
const setsParameter = new RegExp(String.raw`^\s*ALTER (?:ROLE ${identifier} IN )?DATABASE ${identifier} SET `);
const databaseName = new RegExp(
  String.raw`^(\s*(?:ALTER|COMMENT ON|.* ON|ALTER ROLE ${identifier} IN) DATABASE )${identifier}`,
  's',
);

/** The statement for another database, whose name is written in ASCII whatever the statement's own bytes mean. */
function named(statement: string, database: string): string {
  const name = inAscii(database);
  return statement.replace(databaseName, (_, before: string) => before + name);
}

/** An identifier (PostgreSQL docs, 4.1.1, "Identifiers"). */
function inAscii(name: string): string {
  const quoted = quoteIdentifier(name);
  // oxlint-disable-next-line no-control-regex
  if (/^[\x00-\x7f]*$/.test(quoted)) return quoted;
  const escaped = Array.from(quoted.replaceAll('\\', '\\\\'), (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code < 128 ? char : `\\+${code.toString(16).padStart(6, '0')}`;
  });
  return `U&${escaped.join('')}`;
}
