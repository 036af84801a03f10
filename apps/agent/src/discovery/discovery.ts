import { isLoopback } from '@strideiq/core';
import type { AgentConfiguration, DatabaseConfiguration, ServerConfiguration } from '../configuration/index.ts';
import type { FoundBook, FoundDatabase } from '../journal/found-book.ts';
import { describeServer, type Endpoint } from '../postgres/endpoint.ts';
import { askServer } from './ask-server.ts';
import { judgeDatabases, mostDatabases, type Judged } from './judge-databases.ts';
import { matchesName } from './matches-name.ts';

export interface DiscoveryParts {
  /** As the host's file says. */
  file: AgentConfiguration;
  found: FoundBook;
  now: () => number;
  endpointOf: (database: DatabaseConfiguration) => Promise<Endpoint>;
}

/** What a look at one server has shown. */
export interface ServerLook {
  /** Name of its entry. */
  entry: string;
  /** Absent where it could not be asked: what was known of it holds on. */
  seen?: Judged & { server: string; appeared: string[]; gone: string[] };
  /** Why it could not. */
  error?: unknown;
}

/**
 * The databases of servers whose entry in the host's file says `include: all`. What was found stands in the journal, by
 * which every process of this host knows the same, also while a server is out of reach.
 */
export class Discovery {
  readonly #parts: DiscoveryParts;
  #configuration: AgentConfiguration;
  #recalled = '[]';

  constructor(parts: DiscoveryParts) {
    this.#parts = parts;
    this.#configuration = parts.file;
    this.recall();
  }

  /** With all databases that are known now. Another object as soon as others are. */
  get configuration(): AgentConfiguration {
    return this.#configuration;
  }

  get hasServers(): boolean {
    return Object.keys(this.#parts.file.servers).length > 0;
  }

  /** Takes over what was found meanwhile, by whichever process. */
  recall(): void {
    if (!this.hasServers) return;
    const rows = this.#parts.found.all();
    const recalled = JSON.stringify(rows);
    if (recalled === this.#recalled) return;
    this.#recalled = recalled;
    this.#configuration = withFound(this.#parts.file, rows);
  }

  /** Asks every server what it holds, one after another, since what one has taken another cannot. */
  async look(): Promise<ServerLook[]> {
    const { file } = this.#parts;
    const looks: ServerLook[] = [];
    for (const server of Object.values(file.servers)) {
      looks.push(
        await this.#lookAt(server).then(
          (seen) => ({ entry: server.name, seen }),
          (error: unknown) => ({ entry: server.name, error }),
        ),
      );
      this.recall();
    }
    return looks;
  }

  async #lookAt(server: ServerConfiguration): Promise<NonNullable<ServerLook['seen']>> {
    const { found, now, endpointOf } = this.#parts;
    const endpoint = await endpointOf(server);
    const onServer = await askServer(endpoint);
    const own = await this.#ownOf(endpoint);
    const names = this.#namesBeside(server);
    const known = found.all().filter((row) => row.entry === server.name);
    const gone = known.filter(({ goneAt }) => goneAt !== null).length;
    const held = new Set(known.map(({ name }) => name));
    const room = mostDatabases - names.size - gone;
    const judged = judgeDatabases(onServer, { exclude: server.exclude, own, names, held, room });
    const leftOut = new Set(judged.leftOut.map(({ name }) => name));
    const isLeftOut = (name: string) => leftOut.has(name) || isExcluded(server, name);
    return { ...judged, ...found.found(server.name, judged.taken, isLeftOut, now()), server: describeServer(endpoint) };
  }

  /** Names that this server's databases cannot have. */
  #namesBeside({ name: entry }: ServerConfiguration): Set<string> {
    const { file, found } = this.#parts;
    const others = found.all().filter((row) => row.entry !== entry && Object.hasOwn(file.servers, row.entry));
    return new Set([...Object.keys(file.databases), ...others.map(({ name }) => name)]);
  }

  /** The entries of single databases of a server. */
  async #ownOf(server: Endpoint): Promise<Map<string, string>> {
    const own = new Map<string, string>();
    for (const database of Object.values(this.#parts.file.databases)) {
      // One whose secret cannot be read says so itself.
      const endpoint = await this.#parts.endpointOf(database).catch(() => undefined);
      if (endpoint && placeOf(endpoint) === placeOf(server)) own.set(endpoint.database, database.name);
    }
    return own;
  }
}

/**
 * A database of a server's entry, whether or not it is there now.
 * @param goneSince left out where it is there, or nobody knows
 */
export function databaseOfServer(server: ServerConfiguration, name: string, goneSince?: number): DatabaseConfiguration {
  const connection = { ...server.connection, database: name };
  return { ...server, name, connection, ...(goneSince === undefined ? {} : { goneSince }) };
}

function withFound(file: AgentConfiguration, rows: readonly FoundDatabase[]): AgentConfiguration {
  const databases = { ...file.databases };
  for (const { entry, name, goneAt } of rows) {
    const server = Object.hasOwn(file.servers, entry) ? file.servers[entry] : undefined;
    if (!server || isExcluded(server, name) || Object.hasOwn(databases, name)) continue;
    databases[name] = databaseOfServer(server, name, goneAt ?? undefined);
  }
  return { ...file, databases };
}

function isExcluded({ exclude }: ServerConfiguration, name: string): boolean {
  return exclude.some((pattern) => matchesName(pattern, name));
}

/** Of a server, where localhost has several names. */
function placeOf(endpoint: Endpoint): string {
  return describeServer({ ...endpoint, host: isLoopback(endpoint.host) ? 'localhost' : endpoint.host });
}
