import { decodeName } from '@strideiq/dump';
import type { Endpoint } from '../postgres/endpoint.ts';
import type { SqlSession } from '../postgres/sql-session.ts';
import { onMaintenance } from './maintenance-session.ts';

export interface StandInsOptions {
  /** Of the role that runs the dump; theirs begin with it. */
  name: string;
  maintenance: Endpoint;
  runId: string;
  /** The agent's own role. */
  user: string;
}

/** A role of the server, and who stands for it while the dump runs. */
export interface StandIn {
  role: string;
  standIn: string;
}

/** What is run in the place of a statement on owners or grants. */
interface Translated {
  /** Undefined where nothing is. */
  sql: Buffer | undefined;
  /** What else has to be tried after it; whether it can be done matters to nobody. */
  also: Buffer[];
}

/** A name as SQL has it, one character a byte. */
const identifier = String.raw`("(?:[^"]|"")*"|[^\s"';]+)`;
const setsOwner = new RegExp(String.raw`^(\s*ALTER [A-Z]+ .*? OWNER TO )${identifier}(;\s*)$`, 's');
/** As `largeObjectRights` writes it: a literal in a literal. */
const setsOwnerOfLargeObjects = new RegExp(
  String.raw`^(\s*DO '.*''ALTER LARGE OBJECT %s OWNER TO )${identifier}(''.*)$`,
  's',
);
const setsDefaults = new RegExp(String.raw`^(\s*ALTER DEFAULT PRIVILEGES FOR (?:ROLE|USER) )${identifier}(\s.*)$`, 's');
const setsRights = new RegExp(
  String.raw`^(\s*(?:GRANT|REVOKE) .* (?:TO|FROM) )${identifier}((?: WITH GRANT OPTION)?;\s*)$`,
  's',
);
const setsDatabaseOwner = new RegExp(String.raw`^\s*ALTER DATABASE ${identifier} OWNER TO ${identifier};\s*$`);

/**
 * Roles without any rights that own what is some other role's in the end. The one that runs the dump may act for them and so
 * make them owners. Made a member of the real ones it could act for those: change their passwords, rename their databases,
 * end their sessions.
 */
export class StandIns {
  /** All stand-ins are members of it: they may make things in the database and its schemas, as an owner has to. */
  readonly group: string;
  readonly #options: StandInsOptions;
  readonly #made: StandIn[] = [];
  readonly #known = new Map<string, string | undefined>();
  /** One is made at a time. */
  #last: Promise<unknown> = Promise.resolve();
  #databaseOwner: string | undefined;

  constructor(options: StandInsOptions) {
    this.#options = options;
    this.group = `${options.name}_0`;
  }

  get all(): readonly StandIn[] {
    return this.#made;
  }

  /** Whom the database itself is to belong to, as the dump says; undefined where it does not. */
  get databaseOwner(): string | undefined {
    return this.#databaseOwner;
  }

  /**
   * Runs a statement on owners or grants by the role that runs the dump.
   * @param clientEncoding in which its bytes are
   * @throws pg.DatabaseError where the server refuses it
   */
  async run(session: SqlSession, statement: Buffer, clientEncoding: string): Promise<void> {
    const { sql, also } = await this.#translate(statement, clientEncoding);
    const [ran] = await Promise.allSettled([sql && session.run(sql)]);
    for (const each of also) await session.run(each).catch(() => undefined);
    if (ran.status === 'rejected') throw ran.reason;
  }

  /**
   * What a statement is to be run as. One about another role than those that own something is left as it is: rights may be
   * given to anyone.
   */
  async #translate(sql: Buffer, clientEncoding: string): Promise<Translated> {
    const text = sql.toString('latin1');
    const nameOf = (quoted: string) => unquoted(quoted, clientEncoding);
    const [, , databaseOwner] = setsDatabaseOwner.exec(text) ?? [];
    if (databaseOwner !== undefined) {
      // For which it would have to be allowed to make databases.
      if (await this.of(nameOf(databaseOwner))) this.#databaseOwner = nameOf(databaseOwner);
      return { sql: undefined, also: [] };
    }
    const owned = setsOwner.exec(text) ?? setsOwnerOfLargeObjects.exec(text);
    const [, before, owner, after] = owned ?? setsDefaults.exec(text) ?? [];
    if (before !== undefined && owner !== undefined && after !== undefined) {
      const standIn = await this.of(nameOf(owner));
      if (standIn !== undefined) return { sql: latin1(before + standIn + after), also: [] };
      // It is the restoring role's then, as where no role of its own is needed.
      return { sql, also: owned ? [latin1(before + (await this.of(this.#options.user)) + after)] : [] };
    }
    const [, head, role, tail] = setsRights.exec(text) ?? [];
    const standIn = role === undefined ? undefined : this.#known.get(nameOf(role));
    // The owner's own rights are its stand-in's until then; of anything else's they are dropped with it.
    return { sql, also: standIn === undefined ? [] : [latin1(`${head}${standIn}${tail}`)] };
  }

  /** Who stands for a role; undefined where the server has no such role. */
  async of(role: string): Promise<string | undefined> {
    const made = this.#last.then(async () => {
      if (!this.#known.has(role)) this.#known.set(role, await this.#make(role));
      return this.#known.get(role);
    });
    this.#last = made.catch(() => undefined);
    return made;
  }

  async #make(role: string): Promise<string | undefined> {
    const { maintenance, runId, name } = this.#options;
    return onMaintenance(maintenance, runId, async (connection) => {
      const { rows } = await connection.query('SELECT FROM pg_roles WHERE rolname = $1', [role]);
      if (rows.length === 0) return undefined;
      const others = [...this.#made];
      const standIn = `${name}_${others.length + 1}`;
      await connection.query(`CREATE ROLE ${standIn} NOLOGIN IN ROLE ${this.group}; GRANT ${standIn} TO ${name}`);
      // Written down before more can fail: the next one is to have another number.
      this.#made.push({ role, standIn });
      // Who may act for whom decides what a materialised view or a foreign key finds: a superuser finds everything.
      const { rows: related } = await connection.query<{ other: string; acts: boolean; isActedFor: boolean }>(
        `SELECT o.other, pg_has_role($1::name, o.role, 'USAGE') AS acts, pg_has_role(o.role, $1::name, 'USAGE') AS "isActedFor"
           FROM unnest($2::name[], $3::text[]) AS o (role, other)`,
        [role, others.map((each) => each.role), others.map((each) => each.standIn)],
      );
      for (const { other, acts, isActedFor } of related) {
        // Two superusers act for each other; roles of which each has the other PostgreSQL does not take.
        const { rows: back } = await connection.query<{ has: boolean }>(
          "SELECT pg_has_role($1::name, $2::name, 'MEMBER') AS has",
          acts ? [other, standIn] : [standIn, other],
        );
        if (back[0]?.has === true) continue;
        if (acts) await connection.query(`GRANT ${other} TO ${standIn}`);
        else if (isActedFor) await connection.query(`GRANT ${standIn} TO ${other}`);
      }
      return standIn;
    });
  }
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** As PostgreSQL knows it. */
export function unquoted(name: string, clientEncoding: string): string {
  const bare = name.startsWith('"')
    ? name.slice(1, -1).replaceAll('""', '"')
    : name.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
  return decodeName(latin1(bare), clientEncoding);
}
