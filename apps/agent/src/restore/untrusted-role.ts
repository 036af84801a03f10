import { randomBytes } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { endConnection, type Connection } from '../postgres/connect.ts';
import { withDatabase, type Endpoint } from '../postgres/endpoint.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import { onMaintenance } from './maintenance-session.ts';
import { scramVerifierOf } from './scram-verifier.ts';
import type { Scratch } from './scratch.ts';
import { StandIns } from './stand-ins.ts';
import type { TargetServer } from './target.ts';

/** How long a login is good for: each connection that we make ourselves begins it anew. */
const validMs = 3_600_000;

/** Of no rights at all, whatever the server's version gives a new role by itself. */
const powerless = 'NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT';

export interface UntrustedRoleOptions {
  /** Of a superuser. */
  maintenance: Endpoint;
  server: TargetServer;
  runId: string;
  scratchDatabase: string;
  /** Sessions that load at the same time. */
  jobs: number;
}

/**
 * A role for one restore, by which the SQL of a dump that nobody vouches for is run where the agent itself is a superuser. It
 * has a login of its own: out of a superuser's session that has only changed its role, a DO block finds the way back by
 * RESET. What the dump makes belongs to it until all is compared; see `hand-over.ts`.
 */
export class UntrustedRole {
  readonly name: string;
  /** The database, as this role reaches it: host, port, TLS and tunnel are those of the agent. */
  readonly endpoint: Endpoint;
  readonly standIns: StandIns;
  readonly options: UntrustedRoleOptions;
  #renewing: Promise<void> = Promise.resolve();

  private constructor(options: UntrustedRoleOptions, password: string) {
    const { maintenance, runId, scratchDatabase, server } = options;
    this.options = options;
    this.name = untrustedRoleOf(runId);
    this.endpoint = { ...withDatabase(maintenance, scratchDatabase), user: this.name, password };
    this.standIns = new StandIns({ name: this.name, maintenance, runId, user: server.user });
  }

  /** Makes it; its name is to be in the journal before. */
  static async make(options: UntrustedRoleOptions): Promise<UntrustedRole> {
    const password = randomBytes(32).toString('base64url');
    const role = new UntrustedRole(options, password);
    const verifier = await scramVerifierOf(password);
    await onMaintenance(options.maintenance, options.runId, async (connection) => {
      const until = await momentIn(connection, validMs);
      // Beside those that load: one that looks, and those that are at their end.
      const most = options.jobs + 4;
      await connection.query(
        `CREATE ROLE ${quoteIdentifier(role.name)} LOGIN ${powerless} CONNECTION LIMIT ${most} PASSWORD '${verifier}' VALID UNTIL ${quoteLiteral(until)}`,
      );
      await connection.query(`CREATE ROLE ${quoteIdentifier(role.standIns.group)} NOLOGIN ${powerless}`);
    });
    return role;
  }

  /** Gives it the database, which is empty still and closed to everyone else. */
  async own(): Promise<void> {
    const { maintenance, runId, scratchDatabase, server } = this.options;
    const [database, role, group] = [scratchDatabase, this.name, this.standIns.group].map(quoteIdentifier);
    await onMaintenance(withDatabase(maintenance, scratchDatabase), runId, async (connection) => {
      await connection.query(
        `ALTER DATABASE ${database} OWNER TO ${role}; GRANT CREATE ON DATABASE ${database} TO ${group}`,
      );
      // Whoever is to own something in a schema has to have the right to make it there.
      await connection.query(`ALTER DEFAULT PRIVILEGES FOR ROLE ${role} GRANT ALL ON SCHEMAS TO ${group}`);
      await connection.query(`GRANT ALL ON SCHEMA public TO ${group}`);
      // From 15 on it is the database's owner's by itself.
      if (server.versionNumber < 150_000) await connection.query(`ALTER SCHEMA public OWNER TO ${role}`);
    });
  }

  /**
   * Before anything of the dump runs.
   * @throws AgentError `LoginRefused` where the server does not let it in
   */
  async checkLogin(scratch: Scratch): Promise<void> {
    try {
      await endConnection(await scratch.connect());
    } catch (cause) {
      if (!(cause instanceof AgentError) || cause.code !== 'LoginRefused') throw cause;
      throw this.#notLetIn(cause);
    }
  }

  #notLetIn(cause: AgentError): AgentError {
    const { host } = this.endpoint;
    const { user, versionNumber } = this.options.server;
    const who = versionNumber >= 160_000 ? '/^strideiq_untrusted_' : 'all';
    const line = host.startsWith('/')
      ? `local all ${who} scram-sha-256`
      : `host all ${who} ADDRESS-OF-THIS-HOST/32 scram-sha-256`;
    return new AgentError(
      'LoginRefused',
      `The source is not trusted, so its SQL runs by a role made for this restore, ${this.name}, and the server does not let that one in: ${cause.message}`,
      `Nothing of the dump was run. Let roles log in by password, with a line in the server's pg_hba.conf before those that match now: ${line} (then SELECT pg_reload_conf();). Or restore by a connection whose role is no superuser, and not ${user}.`,
      { cause },
    );
  }

  /** Lets it log in for a while longer. @param forMs from now on, an hour at least */
  async renew(forMs = validMs): Promise<void> {
    // One after another: a role that two change at once is an error to PostgreSQL.
    const renewed = this.#renewing.then(async () => this.#renew(forMs));
    this.#renewing = renewed.catch(() => undefined);
    await renewed;
  }

  async #renew(forMs: number): Promise<void> {
    const { maintenance, runId } = this.options;
    await onMaintenance(maintenance, runId, async (connection) => {
      const until = await momentIn(connection, Math.max(forMs, validMs));
      await connection.query(`ALTER ROLE ${quoteIdentifier(this.name)} VALID UNTIL ${quoteLiteral(until)}`);
    });
  }
}

/** By the server's clock. */
async function momentIn(connection: Connection, ms: number): Promise<string> {
  const { rows } = await connection.query<{ until: string }>(
    "SELECT (now() + $1 * interval '1 millisecond')::text AS until",
    [ms],
  );
  return rows[0]?.until ?? '';
}

/** What the role of a run is called, and with a number behind it those that stand for others. */
export function untrustedRoleOf(runId: string): string {
  return `strideiq_untrusted_${runId.replaceAll('-', '')}`;
}

/**
 * Drops the role of a run and those that it stood in for others by, once nothing belongs to them any more. None is fine.
 * @param name as `untrustedRoleOf` makes it, of letters and digits alone: no other role is touched
 */
export async function dropUntrustedRole(maintenance: Connection, name: string): Promise<void> {
  const { rows } = await maintenance.query<{ name: string }>(
    "SELECT rolname::text AS name FROM pg_roles WHERE rolname = $1 OR rolname ~ ('^' || $1 || '_[0-9]+$')",
    [name],
  );
  for (const role of rows) await maintenance.query(`DROP ROLE ${quoteIdentifier(role.name)}`);
}
