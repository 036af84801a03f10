import { databaseIdOf, type SigningKey } from '@strideiq/core';
import {
  openDirectoryStore,
  openS3Store,
  usualRetries,
  withLimits,
  withRetry,
  type RetryPolicy,
} from '@strideiq/storage';
import { availableParallelism, hostname, loadavg } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { automaticJobs } from './backup/jobs.ts';
import type { BackupRequest } from './backup/backup-request.ts';
import type { OpenPlace } from './backups/resolve-reference.ts';
import {
  resolveConnection,
  resolveS3Credentials,
  storesOf,
  type AgentConfiguration,
  type DatabaseConfiguration,
  type PlacedStore,
  type S3StoreConfiguration,
} from './configuration/index.ts';
import { Commands } from './commands/commands.ts';
import { CopyKeeper } from './copies/copy-keeper.ts';
import { Daemon } from './daemon/daemon.ts';
import type { Events } from './daemon/events.ts';
import { JournalKeeper } from './daemon/journal-keeper.ts';
import { Discovery } from './discovery/discovery.ts';
import { ServerWatch } from './discovery/watch-servers.ts';
import { isEnrolled } from './enrolment/credential.ts';
import { StoreWatcher } from './drift/store-watcher.ts';
import { AgentError } from './errors.ts';
import { Journal } from './journal/journal.ts';
import { openJournal } from './journal/open-journal.ts';
import { loadSigningKey } from './journal/signing-key.ts';
import { Heartbeats } from './heartbeat/heartbeats.ts';
import { HostFacts } from './link/host-facts.ts';
import { Link, type AskControlPlane } from './link/link.ts';
import { ServerClock } from './link/server-clock.ts';
import { KeptPolicies } from './policies/kept-policies.ts';
import { Scheduler } from './schedule/scheduler.ts';
import { ProgressBoard } from './progress/progress-board.ts';
import { maintenanceOf, type Endpoint } from './postgres/endpoint.ts';
import type { OpenedStore } from './stores/opened-store.ts';
import { PlainSqlStore } from './stores/plain-sql-store.ts';
import { reachableStores } from './stores/reachable-stores.ts';

/** What the process gives; nothing below reaches for it by itself. */
export interface Surroundings {
  env: NodeJS.ProcessEnv;
  now: () => number;
  /** Aborted with an `Interrupted` error by Ctrl-C or SIGTERM. */
  signal: AbortSignal;
  /** Texts that must appear in nothing that is printed; filled as they become known. */
  secrets: Set<string>;
}

/** Of stores that are opened by a path or URL, for no database in particular. */
const usualStallLimitMs = 60_000;

/** What a database's own configuration says of its stores. */
interface PatienceAndPace {
  stallLimitMs?: number;
  uploadBytesPerSecond?: number;
}

/** The agent of this host, with everything built: the one place where parts are handed to each other. */
export class Host {
  readonly discovery: Discovery;
  readonly surroundings: Surroundings;
  readonly journal: Journal;
  readonly key: SigningKey;
  readonly policies: KeptPolicies;
  /** Those that are told of backups; a piece of work has the whole host's. */
  readonly heartbeats: Heartbeats;
  readonly #opened: OpenedStore[] = [];
  readonly #whole: boolean;

  /**
   * @param configuration the host's file
   * @param of the host that this one is for a piece of work
   * @throws AgentError `StateUnusable`
   */
  constructor(
    file: AgentConfiguration,
    surroundings: Surroundings,
    of?: Pick<Host, 'journal' | 'key' | 'discovery' | 'policies' | 'heartbeats'>,
  ) {
    this.surroundings = surroundings;
    this.#whole = of === undefined;
    if (of) {
      this.journal = of.journal;
      this.key = of.key;
      this.discovery = of.discovery;
      this.policies = of.policies;
      this.heartbeats = of.heartbeats;
      return;
    }
    // First, since it says best what is wrong with a state directory that cannot be used.
    this.journal = new Journal(openJournal(file.stateDir), surroundings.now, surroundings.secrets);
    this.key = loadSigningKey(file.stateDir);
    this.discovery = new Discovery({
      file,
      found: this.journal.foundDatabases,
      now: surroundings.now,
      endpointOf: async (database) => this.endpointOf(database),
    });
    this.policies = new KeptPolicies(this.discovery, this.journal.policies);
    this.heartbeats = new Heartbeats({ ...surroundings, journal: this.journal, host: this });
  }

  /**
   * The host's file, with the databases that were found on its servers and the policies that are in force. Another object as
   * soon as one of them is another.
   */
  get configuration(): AgentConfiguration {
    return this.policies.configuration;
  }

  /** This host for one piece of work of many: what is opened for it is closed with it, and the rest lives on. */
  forWork(signal: AbortSignal): Host {
    return new Host(this.policies.file, { ...this.surroundings, signal }, this);
  }

  /** The entry of the host's file that says where drills of a database make theirs. */
  scratchPlaceOf(database: DatabaseConfiguration): DatabaseConfiguration {
    const { via } = database.drill;
    if (via === undefined) return database;
    return this.configuration.databases[via] ?? this.configuration.servers[via] ?? database;
  }

  /** The database with this id that the host's file names, or that was found on a server of it. */
  databaseOfId(databaseId: string): DatabaseConfiguration | undefined {
    return Object.values(this.configuration.databases).find((database) => this.databaseIdOf(database) === databaseId);
  }

  databaseIdOf(database: DatabaseConfiguration): string {
    return databaseIdOf(this.configuration.environment, database.name);
  }

  async endpointOf(database: DatabaseConfiguration): Promise<Endpoint> {
    const { exec, execConnect = [] } = database.dump;
    const resolved = await resolveConnection(database.connection, this.surroundings.env);
    for (const secret of resolved.secrets) this.surroundings.secrets.add(secret);
    return { ...resolved, exec, execConnect, path: this.surroundings.env['PATH'] };
  }

  async maintenanceOf(database: DatabaseConfiguration): Promise<Endpoint> {
    return maintenanceOf(await this.endpointOf(database));
  }

  /** @param only names of stores; left out: all of the database's */
  async storesOf(database: DatabaseConfiguration, only?: readonly string[]): Promise<OpenedStore[]> {
    const placed = storesOf(this.configuration, database).filter(({ name }) => only?.includes(name) ?? true);
    return Promise.all(placed.map(async (store) => this.#open(store, database.dump)));
  }

  async #open(placed: PlacedStore, limits: PatienceAndPace = {}): Promise<OpenedStore> {
    const { stallLimitMs = usualStallLimitMs, uploadBytesPerSecond } = limits;
    const retry = retriesWithin(stallLimitMs);
    const store =
      placed.type === 'directory'
        ? openDirectoryStore({ path: placed.path, host: hostname() })
        : withLimits(
            await this.#openS3(placed, { requestTimeoutMs: stallLimitMs, retry }),
            uploadBytesPerSecond === undefined ? {} : { uploadBytesPerSecond },
          );
    const opened = { name: placed.name, kind: placed.type, store: withRetry(store, retry) };
    this.#opened.push(opened);
    return opened;
  }

  async #openS3(
    placed: Omit<S3StoreConfiguration, 'type'>,
    patience: { requestTimeoutMs: number; retry: RetryPolicy },
  ) {
    const { credentials: from, ...options } = placed;
    const { credentials, profile, secrets } = await resolveS3Credentials(from, this.surroundings.env);
    for (const secret of secrets) this.surroundings.secrets.add(secret);
    const given = Object.entries({ ...options, credentials, profile, ...patience }).filter(
      ([, value]) => value !== undefined,
    );
    return openS3Store(Object.fromEntries(given) as unknown as Parameters<typeof openS3Store>[0]);
  }

  /** Any store that the host's file names, whatever it is used for; undefined where there is none with this id. */
  async openStoreOfId(storeId: string): Promise<OpenedStore | undefined> {
    const placed = reachableStores(this.configuration).get(storeId);
    return placed && this.#open(placed);
  }

  async openDirectory(path: string): Promise<OpenedStore> {
    return this.#open({ type: 'directory', path, name: path });
  }

  /** A path's folder, or an `s3://` URL's bucket: the credentials are those of a configured store of that bucket. */
  readonly openPlace: OpenPlace = async (reference) => {
    const place = await this.#openPlaceOf(reference);
    if (!place.key.endsWith('.sql')) return place;
    const { opened, key } = place;
    return { opened: { ...opened, store: new PlainSqlStore(opened.store) }, key };
  };

  async #openPlaceOf(reference: string): Promise<{ opened: OpenedStore; key: string }> {
    const s3 = /^s3:\/\/([^/]+)\/(?:(.*)\/)?([^/]+)$/.exec(reference);
    if (!s3 && reference.startsWith('s3://')) {
      throw new AgentError(
        'UsageInvalid',
        `${reference} names no object.`,
        'Write s3://BUCKET/PREFIX/NAME.sql.gz; `strideiq-agent list --s3 BUCKET/PREFIX` shows what is there.',
      );
    }
    if (!s3) {
      const path = resolve(reference);
      return {
        opened: await this.openDirectory(dirname(path)),
        key: basename(path),
      };
    }
    const [, bucket = '', folder, key = ''] = s3;
    const known = Object.values(this.configuration.stores).find(
      (store) => store.type === 's3' && store.bucket === bucket,
    );
    const base =
      known?.type === 's3'
        ? known
        : {
            type: 's3' as const,
            bucket,
            endpoint: this.surroundings.env['AWS_ENDPOINT_URL_S3'] ?? this.surroundings.env['AWS_ENDPOINT_URL'],
          };
    const prefix = folder === undefined ? '' : `${folder}/`;
    return { opened: await this.#open({ ...base, prefix, name: `s3://${bucket}` }), key };
  }

  /** @param jobs in place of what the file says */
  async backupRequest(
    database: DatabaseConfiguration,
    only?: readonly string[],
    jobs: DatabaseConfiguration['dump']['jobs'] = database.dump.jobs,
  ): Promise<BackupRequest> {
    const { dump } = database;
    const [load = 0] = loadavg();
    return {
      environment: this.configuration.environment,
      database: database.name,
      databaseId: this.databaseIdOf(database),
      endpoint: await this.endpointOf(database),
      stores: await this.storesOf(database, only),
      compressionLevel: dump.compressionLevel,
      jobs: jobs === 'auto' ? automaticJobs({ cores: availableParallelism(), load }) : jobs,
      laneTableBytes: dump.largeTableBytes,
      nice: dump.nice,
      excludeTables: dump.excludeTables,
      excludeTableData: dump.excludeTableData,
      lockWaitLimitMs: dump.lockWaitLimitMs,
      hangLimitMs: dump.hangLimitMs,
      snapshotAgeLimitMs: dump.snapshotAgeLimitMs,
      stallLimitMs: dump.stallLimitMs,
      rolePasswords: dump.rolePasswords,
      ...(dump.pgDump === undefined ? {} : { pgDump: dump.pgDump }),
    };
  }

  /** See `Journal.prune`: a host that no daemon runs on does it when it has work to do. */
  pruneJournal(): { shortened: number } {
    return this.journal.prune(isEnrolled(this.configuration.stateDir));
  }

  close(): void {
    for (const { store } of this.#opened) store.close();
    if (this.#whole) this.journal.close();
  }
}

/**
 * What `run` runs on one host: its schedule, the line to the control plane, and the commands that come over it.
 * @param url of the control plane; left out: there is none
 */
export function composeDaemon(host: Host, { url, events }: { url?: string | undefined; events: Events }): Daemon {
  const { discovery, journal, surroundings } = host;
  const { now, secrets } = surroundings;
  const clock = new ServerClock(now);
  const progress = new ProgressBoard();
  const facts = new HostFacts(host, now);
  host.heartbeats.warn = (text) => events.warn(text);
  // Each asks the other: commands come over the line, and a restore asks for URLs over it.
  const controlPlane: AskControlPlane = {
    ask: async (...asked) => {
      if (!link) throw new AgentError('ControlPlaneUnreachable', 'This host has no control plane.');
      return link.ask(...asked);
    },
  };
  const commands = new Commands({ host, events, clock, progress, controlPlane });
  const scheduler = new Scheduler({ host, queue: commands.queue, events });
  const link: Link | undefined =
    url === undefined
      ? undefined
      : new Link({
          policies: host.policies,
          discovery,
          journal,
          now,
          clock,
          commands,
          progress,
          facts: async () => facts.current(),
          events,
          url,
          secrets,
          random: Math.random,
        });
  const copies = new CopyKeeper(host, events);
  const stores = new StoreWatcher(host, events);
  const keeper = new JournalKeeper(host, events);
  const servers = new ServerWatch({ discovery, now, events });
  return new Daemon({ link, commands, scheduler, servers, copies, stores, journal: keeper, events });
}

/** A silent store must not hold up the others for as many silences as there are tries. */
function retriesWithin(stallLimitMs: number): RetryPolicy {
  return {
    ...usualRetries,
    longestDelayMs: Math.min(usualRetries.longestDelayMs, stallLimitMs / 2),
    withinMs: stallLimitMs,
  };
}
