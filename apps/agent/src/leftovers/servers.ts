import { AgentError } from '../errors.ts';
import type { Run } from '../journal/journal.ts';
import { answered, connect, endConnection, type Connection } from '../postgres/connect.ts';
import { describeServer, type Endpoint } from '../postgres/endpoint.ts';
import { endSessions } from './end-sessions.ts';

/** The servers on which runs of a database may have left something, each connected to once somebody needs it. */
export class Servers {
  readonly #own: Endpoint;
  readonly #others: () => Promise<readonly Endpoint[]>;
  readonly #connections = new Map<string, Promise<Connection>>();

  /**
   * @param own a maintenance database of the database's own server
   * @param others those of the host's other databases: a drill may have gone to one of their servers
   */
  constructor(own: Endpoint, others: () => Promise<readonly Endpoint[]>) {
    this.#own = own;
    this.#others = others;
  }

  /**
   * Where a run worked.
   * @throws AgentError `ServerUnreachable` where the host's file does not name that server any more
   */
  async endpointOf({ detail }: Pick<Run, 'detail'>): Promise<Endpoint> {
    const { server, scratchDatabase } = detail;
    if (server === undefined || server === describeServer(this.#own)) return this.#own;
    const other = (await this.#others()).find((endpoint) => describeServer(endpoint) === server);
    if (other) return other;
    throw new AgentError(
      'ServerUnreachable',
      `Its database ${scratchDatabase ?? detail.into} is on the server ${server}, which no database of this host's file is on.`,
      'Run a command against that server once, or drop the database there by hand.',
    );
  }

  async connectionTo(run: Pick<Run, 'detail'>): Promise<Connection> {
    const endpoint = await this.endpointOf(run);
    const server = describeServer(endpoint);
    const connection = this.#connections.get(server) ?? connect(endpoint, { applicationName: 'strideiq-clearing' });
    this.#connections.set(server, connection);
    return connection;
  }

  /** A server that cannot be reached has no sessions that matter to what is in the stores. */
  async endSessionsOf(runs: readonly Run[]): Promise<void> {
    for (const run of runs) {
      const connection = await this.connectionTo(run).catch(() => undefined);
      if (connection) await answered(connection, endSessions(connection, [run]));
    }
  }

  async end(): Promise<void> {
    for (const made of this.#connections.values()) {
      const connection = await made.catch(() => undefined);
      if (connection) await endConnection(connection);
    }
  }
}
