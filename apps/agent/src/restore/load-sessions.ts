import { AgentError } from '../errors.ts';
import { endConnection, type Connection } from '../postgres/connect.ts';
import { LoadSession, type LoadSessionOptions } from './load-session.ts';

export interface LoadSettings {
  /** Sessions at the same time; what each may take of the server's memory depends on it. */
  jobs: number;
  /** Kept as the server has it where left out; another one changes how values are stored. */
  toastCompression?: string | undefined;
}

const mostMaintenanceMb = 256;
const allMaintenanceMb = 1024;

/** All connections of a load. They end together: also in the middle of a statement, when one of them fails. */
export class LoadSessions {
  readonly #connect: () => Promise<Connection>;
  readonly #settings: LoadSettings;
  readonly #options: LoadSessionOptions;
  readonly #connections = new Set<Connection>();
  readonly #cut = (): void => {
    for (const connection of this.#connections) void endConnection(connection, 0);
  };

  constructor(connect: () => Promise<Connection>, settings: LoadSettings, options: LoadSessionOptions) {
    this.#connect = connect;
    this.#settings = settings;
    this.#options = options;
    options.signal.addEventListener('abort', this.#cut, { once: true });
  }

  /** Its settings end with the session: the rows are safe when the database is renamed into place, not before. */
  async open(): Promise<LoadSession> {
    const { jobs, toastCompression } = this.#settings;
    const connection = await this.#connect();
    this.#connections.add(connection);
    this.#options.signal.throwIfAborted();
    const maintenanceMb = Math.min(mostMaintenanceMb, Math.floor(allMaintenanceMb / jobs));
    const session = new LoadSession(connection, this.#options);
    await session.runOwn(
      `SET synchronous_commit = off; SET maintenance_work_mem = '${maintenanceMb}MB'; SET max_parallel_maintenance_workers = 0`,
    );
    if (toastCompression !== undefined) await session.runOwn(`SET default_toast_compression = ${toastCompression}`);
    return session;
  }

  /** One more beside those that there are, where the server lets it in. */
  async openAnother(): Promise<LoadSession | undefined> {
    try {
      return await this.open();
    } catch (error) {
      if (!(error instanceof AgentError && error.code === 'ServerUnreachable')) throw error;
      this.#options.tally.note(`Fewer than ${this.#settings.jobs} sessions loaded at the same time: ${error.message}`);
      return undefined;
    }
  }

  /** A connection that has seen nothing of the dump, for a short look. */
  async look<Seen>(work: (connection: Connection) => Promise<Seen>): Promise<Seen> {
    const connection = await this.#connect();
    this.#connections.add(connection);
    try {
      return await work(connection);
    } finally {
      this.#connections.delete(connection);
      await endConnection(connection);
    }
  }

  /** Ends one of them. */
  async close({ connection }: LoadSession): Promise<void> {
    this.#connections.delete(connection);
    await endConnection(connection);
  }

  async end(): Promise<void> {
    this.#options.signal.removeEventListener('abort', this.#cut);
    await Promise.all([...this.#connections].map(async (connection) => endConnection(connection)));
  }
}
