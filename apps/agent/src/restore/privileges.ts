import { once, readAll } from '@strideiq/storage';
import type { Manifest } from '@strideiq/core';
import { gunzip, isServerLevel, readDump } from '@strideiq/dump';
import { sha256 } from '../backup/manifest.ts';
import { endOfRoles } from '../backup/privileges.ts';
import type { BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { SqlSession } from '../postgres/sql-session.ts';

/**
 * Owners, grants and database settings of a backup, given back before anyone is let in (dump-format.md): until then a
 * restored function that runs with its owner's rights would run with the restoring role's, for anyone.
 */
export class Privileges {
  readonly #object: Buffer[] = [];
  readonly #database: Buffer[] = [];
  readonly #leftOut = new Map<string, number>();

  /**
   * Reads what stands beside a backup whose manifest names it.
   * @throws AgentError `VerificationFailed` where it is not the file that was made
   */
  static async read({ opened }: BackupSource, expected: NonNullable<Manifest['privileges']>): Promise<Privileges> {
    const bytes = await readAll(await opened.store.get(expected.name));
    if (sha256(bytes) !== expected.sha256) {
      throw new AgentError(
        'VerificationFailed',
        `${expected.name} is not the file that was made: its SHA-256 differs.`,
        'Restore from another copy; `strideiq-agent verify` tells which are whole.',
      );
    }
    const text = await readAll(gunzip(once(bytes)));
    const privileges = new Privileges();
    const afterRoles = text.subarray(text.indexOf(`\n${endOfRoles}\n`) + endOfRoles.length + 2);
    for await (const piece of readDump(once(afterRoles), { closingLine: false })) {
      if (piece.kind !== 'statement') continue;
      if (isServerLevel(piece.sql)) privileges.#database.push(piece.sql);
      else privileges.#object.push(piece.sql);
    }
    return privileges;
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

  /** Everything on the database's objects. What the server refuses is left out, and told by `notes`. */
  async apply(connection: Connection): Promise<void> {
    const session = new SqlSession(connection);
    for (const sql of this.#object) await this.#attempt(async () => session.run(sql));
  }

  /** What concerns the database itself; its statements bear the source's name, and are run for `name`. */
  async applyToDatabase(maintenance: Connection, name: string): Promise<void> {
    const session = new SqlSession(maintenance);
    for (const sql of this.#database) {
      await this.#attempt(async () => session.run(Buffer.from(named(sql.toString('latin1'), name), 'latin1')));
    }
  }

  async #attempt(step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (!(error instanceof Error) || !('severity' in error)) throw error;
      this.#leftOut.set(error.message, (this.#leftOut.get(error.message) ?? 0) + 1);
    }
  }

  get notes(): string[] {
    return [...this.#leftOut].map(
      ([why, times]) => `Left out of owners and grants${times > 1 ? `, ${times} times` : ''}: ${why}.`,
    );
  }
}

const identifier = String.raw`(?:"(?:[^"]|"")*"|[^\s";]+)`;
const setsOwner = new RegExp(String.raw` OWNER TO ${identifier};\s*$`);
const databaseName = new RegExp(
  String.raw`^(\s*(?:ALTER|COMMENT ON|.* ON|ALTER ROLE ${identifier} IN) DATABASE )${identifier}`,
  's',
);

/** The statement for another database; names in latin1, as the statement's own bytes are read. */
function named(statement: string, database: string): string {
  const name = Buffer.from(quoteIdentifier(database)).toString('latin1');
  return statement.replace(databaseName, (_, before: string) => before + name);
}
