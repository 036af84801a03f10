import { paragraphOf } from '@strideiq/core';
import { mostTextLength, type DatabaseFacts, type Heartbeat, type StoreFacts } from '@strideiq/protocol';
import { redacted } from '@strideiq/terminal';
import { readServerFacts } from '../backup/preflight.ts';
import { within } from '../backup/within.ts';
import type { Host } from '../compose.ts';
import { storesOf, type DatabaseConfiguration, type PlacedStore } from '../configuration/index.ts';
import { findTool } from '../postgres/client-tools.ts';
import { answered, connect, endConnection } from '../postgres/connect.ts';
import { ownerIn } from '../stores/prefix-owner.ts';
import { storeIdOfPlace } from '../stores/reachable-stores.ts';

type Facts = Pick<Heartbeat, 'databases' | 'stores'>;

/** Looking is work for servers and disks: seldom enough to be nothing beside theirs. */
const everyMs = 300_000;

const mostLooksAtOnce = 8;

/** A server or mount that answers nothing is given up after this. */
const lookLimitMs = 20_000;

/** How long a heartbeat waits for a look that is under way. */
const waitLimitMs = 5_000;

/** What is measured on this host now and then: servers, databases, room in the stores. */
export class HostFacts {
  readonly #host: Host;
  readonly #now: () => number;
  readonly #databases = new Map<string, DatabaseFacts>();
  readonly #stores = new Map<string, StoreFacts>();
  /** Looks that have not come to their end, be it that nobody waits for them any more. */
  readonly #hanging = new Set<string>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<unknown> = Promise.resolve();

  constructor(host: Host, now: () => number) {
    this.#host = host;
    this.#now = now;
  }

  /** What was measured last, at most a few minutes ago; never rejects, and never waits for long. */
  async current(): Promise<Facts> {
    const now = this.#now();
    if (now - this.#lookedAt >= everyMs || now < this.#lookedAt) {
      this.#lookedAt = now;
      this.#looking = this.#look();
    }
    await within(this.#looking, { limitMs: waitLimitMs, late: () => new Error('later') }).catch(() => undefined);
    const databases = [...this.#databases.values()].map((facts) => {
      const { version } = this.#host.policies.of(facts.databaseId);
      return version === undefined ? facts : { ...facts, policyVersion: version };
    });
    return { databases, stores: [...this.#stores.values()] };
  }

  async #look(): Promise<void> {
    const { configuration } = this.#host;
    const all = Object.values(configuration.databases);
    const databases = all.filter(({ goneSince }) => goneSince === undefined);
    const stores = all.flatMap((database) => storesOf(configuration, database).map((placed) => ({ database, placed })));
    const looks = [
      ...databases.map((database) => async () => this.#lookAtDatabase(database)),
      ...stores.map(
        ({ database, placed }) =>
          async () =>
            this.#lookAtStore(database, placed),
      ),
    ];
    // A server with hundreds of databases is not to be asked hundreds of things at once.
    const waiting = looks.values();
    await Promise.all(
      Array.from({ length: mostLooksAtOnce }, async () => {
        for (const look of waiting) await look();
      }),
    );
    this.#forgetOthers(databases);
  }

  #forgetOthers(databases: readonly DatabaseConfiguration[]): void {
    const ids = new Set(databases.map((database) => this.#host.databaseIdOf(database)));
    for (const id of this.#databases.keys()) if (!ids.has(id)) this.#databases.delete(id);
  }

  async #lookAtDatabase(database: DatabaseConfiguration): Promise<void> {
    const databaseId = this.#host.databaseIdOf(database);
    const facts = await this.#once(databaseId, async () => databaseFacts(this.#host, database));
    this.#databases.set(
      databaseId,
      'error' in facts
        ? { databaseId, reachable: false, error: facts.error }
        : { databaseId, reachable: true, ...facts.value },
    );
  }

  async #lookAtStore(database: DatabaseConfiguration, placed: PlacedStore): Promise<void> {
    const storeId = storeIdOfPlace(placed);
    const facts = await this.#once(storeId, async () => {
      const host = this.#host.forWork(new AbortController().signal);
      try {
        const [opened] = await host.storesOf(database, [placed.name]);
        if (!opened) return null;
        // What is gone has room on the disk above it, and what is away has none to tell of: the next backup would fail.
        if (host.journal.copies.hasStoredIn(host.databaseIdOf(database), storeId)) await ownerIn(opened);
        return (await opened.store.freeBytes()) ?? null;
      } finally {
        host.close();
      }
    });
    this.#stores.set(
      storeId,
      'error' in facts ? { storeId, freeBytes: null, error: facts.error } : { storeId, freeBytes: facts.value },
    );
  }

  /** One look at a thing at a time: a second one at a dead mount would only hang beside the first. */
  async #once<T>(what: string, look: () => Promise<T>): Promise<{ value: T } | { error: string }> {
    const silent = new Error(`no answer for ${lookLimitMs / 1000} s`);
    try {
      if (this.#hanging.has(what)) throw silent;
      this.#hanging.add(what);
      const looking = look().finally(() => this.#hanging.delete(what));
      return { value: await within(looking, { limitMs: lookLimitMs, late: () => silent }) };
    } catch (error) {
      return { error: toldText(error, this.#host) };
    }
  }
}

/** As it may leave this host: whole commands of `dump.exec` may stand in it. */
function toldText(error: unknown, { surroundings }: Host): string {
  return redacted(paragraphOf(error), surroundings.secrets).slice(0, mostTextLength).toWellFormed();
}

async function databaseFacts(
  host: Host,
  database: DatabaseConfiguration,
): Promise<Pick<DatabaseFacts, 'serverVersion' | 'sizeBytes' | 'pgDumpVersion' | 'pgDumpProblem'>> {
  const endpoint = await host.endpointOf(database);
  const connection = await connect(endpoint, { applicationName: 'strideiq-facts' });
  try {
    const facts = await answered(connection, readServerFacts(connection));
    const tool = await findTool('pg_dump', endpoint, facts.major, database.dump.pgDump).then(
      ({ version }) => ({ pgDumpVersion: version }),
      (error: unknown) => ({ pgDumpProblem: toldText(error, host) }),
    );
    return { serverVersion: facts.version, sizeBytes: facts.databaseBytes, ...tool };
  } finally {
    await endConnection(connection);
  }
}
