import type { FastifyInstance } from 'fastify';
import { setTimeout as delay } from 'node:timers/promises';
import { X509Certificate } from 'node:crypto';
import { AgentConnections } from './agents/agent-connections.ts';
import { AgentGateway } from './agents/agent-gateway.ts';
import type { ApiParts } from './api/context.ts';
import { Followers } from './api/followers.ts';
import { AlertKeeper } from './alerts/alert-keeper.ts';
import { openChannel } from './channels/open-channel.ts';
import { openCatalog, type Catalog } from './catalog/open-catalog.ts';
import { ServerLock } from './catalog/server-lock.ts';
import type { ControlPlaneConfiguration } from './configuration/index.ts';
import { PresignRequests } from './copies/presign-requests.ts';
import { SourceUrls } from './copies/source-urls.ts';
import { Enrolment } from './enrolment/enrolment.ts';
import { ControlPlaneError } from './errors.ts';
import { Heartbeat } from './heartbeat/heartbeat.ts';
import { buildApp } from './http/build-app.ts';
import { openLog, type LogOptions } from './http/open-log.ts';
import { readTls } from './http/tls.ts';
import { AccessRefusals } from './keys/access-refusals.ts';
import { ApiKeys } from './keys/api-keys.ts';
import { makeFirstAdminKey } from './keys/first-admin-key.ts';
import { LiveRuns } from './runs/live-runs.ts';
import { Sweeper } from './runs/sweeper.ts';
import { WorkRequests } from './runs/work-requests.ts';
import { BucketKeeper } from './stores/bucket-keeper.ts';
import { OwnStores } from './stores/own-stores.ts';
import { controlPlaneVersion } from './version.ts';

/** What the process gives; nothing below reaches for it by itself. */
export interface Surroundings {
  env: NodeJS.ProcessEnv;
  now: () => number;
  /** Left out: standard error. */
  logDestination?: LogOptions['destination'];
}

/** How long requests and agents may take to come to their end when the program stops. */
const stopWithinMs = 10_000;

/** Alerts are looked at four times a minute. */
const looksWithinMs = 120_000;

interface Built {
  app: FastifyInstance;
  parts: ApiParts;
  sweeper: Sweeper;
  buckets: BucketKeeper;
  alerts: AlertKeeper;
  heartbeat: Heartbeat | undefined;
  ownStores: OwnStores;
  stopping: AbortController;
  adminKeyFile: string | undefined;
}

/** The control plane with everything built: the one place where parts are handed to each other. */
export class ControlPlane {
  readonly #configuration: ControlPlaneConfiguration;
  readonly #built: Built;
  readonly #lock: ServerLock;

  private constructor(configuration: ControlPlaneConfiguration, built: Built, lock: ServerLock) {
    this.#configuration = configuration;
    this.#built = built;
    this.#lock = lock;
  }

  get app(): FastifyInstance {
    return this.#built.app;
  }

  get parts(): ApiParts {
    return this.#built.parts;
  }

  get alerts(): AlertKeeper {
    return this.#built.alerts;
  }

  /** Undefined where nobody is to be told. */
  get heartbeat(): Heartbeat | undefined {
    return this.#built.heartbeat;
  }

  /** Where the first admin's key is, where this start has made it. */
  get adminKeyFile(): string | undefined {
    return this.#built.adminKeyFile;
  }

  /**
   * Opens the catalog and builds everything on it; it does not listen yet.
   * @throws ControlPlaneError `DataUnusable`, `CatalogInUse`; ConfigurationError for what TLS needs
   */
  static async open(configuration: ControlPlaneConfiguration, surroundings: Surroundings): Promise<ControlPlane> {
    const { tls, dataDir } = configuration;
    const pems = tls === undefined ? undefined : await readTls(tls);
    const catalog = openCatalog(dataDir);
    let lock: ServerLock | undefined;
    try {
      lock = new ServerLock(dataDir);
      return new ControlPlane(
        configuration,
        await ControlPlane.#build(configuration, surroundings, catalog, pems),
        lock,
      );
    } catch (error) {
      catalog.$client.close();
      lock?.release();
      throw error;
    }
  }

  static async #build(
    configuration: ControlPlaneConfiguration,
    { env, now, logDestination }: Surroundings,
    catalog: Catalog,
    tls: { cert: string; key: string } | undefined,
  ): Promise<Built> {
    const { dataDir, logLevel, rateLimit, stores, trustedProxies, publicUrl } = configuration;
    const secrets = new Set<string>();
    const log = openLog({
      level: logLevel,
      secrets,
      ...(logDestination === undefined ? {} : { destination: logDestination }),
    });
    const keys = new ApiKeys(catalog, now);
    const adminKeyFile = makeFirstAdminKey(keys, dataDir);
    const stopping = new AbortController();
    const liveRuns = new LiveRuns();
    const connections = new AgentConnections({ catalog, now });
    const ownStores = new OwnStores({ configured: stores, env, secrets });
    const base = { catalog, now, connections, liveRuns, openOwnStore: ownStores.open, log };
    const shared = { ...base, presigns: new PresignRequests(base) };
    const gateway = new AgentGateway({ ...shared, sourceUrls: new SourceUrls(shared) });
    const buckets = new BucketKeeper(shared);
    const channels = new Map(
      Object.entries(configuration.channels).map(([name, said]) => [
        name,
        openChannel(name, said, { env, secrets, now, allowPlainText: configuration.allowPlainText }),
      ]),
    );
    const alerts = new AlertKeeper({ ...shared, channels, publicUrl, certificate: certificateOf(configuration, tls) });
    const { heartbeat: said, allowPlainText } = configuration;
    const problem = () => problemOf(alerts, now());
    const heartbeat = said && new Heartbeat({ said, env, secrets, allowPlainText, problem, log });
    const parts: ApiParts = {
      catalog,
      now,
      startedAt: now(),
      keys,
      refusals: new AccessRefusals(catalog, now),
      connections,
      enrolment: new Enrolment(shared),
      work: new WorkRequests(shared),
      buckets,
      channels,
      publicUrl,
      liveRuns,
      followers: new Followers(),
      stopping: stopping.signal,
    };
    const app = await buildApp({
      parts,
      gateway,
      log,
      trustedProxies,
      rateLimit,
      ...(tls === undefined ? {} : { tls }),
    });
    const sweeper = new Sweeper(shared);
    return { app, parts, sweeper, buckets, alerts, heartbeat, ownStores, stopping, adminKeyFile };
  }

  /**
   * Takes requests and agents, and begins to sweep.
   * @returns the address, for people
   * @throws ControlPlaneError `ListenFailed`
   */
  async listen(): Promise<string> {
    const { listen } = this.#configuration;
    const listenTextResolver = (address: string) => `version ${controlPlaneVersion} listens at ${address}`;
    try {
      const url = await this.app.listen({ ...listen, listenTextResolver });
      this.#built.sweeper.start();
      this.#built.buckets.start();
      this.#built.alerts.start();
      this.#built.heartbeat?.start();
      return url;
    } catch (cause) {
      throw listenFailed(listen, cause as NodeJS.ErrnoException);
    }
  }

  /** Ends listeners, agents' connections and streams, and then the catalog. Requests under way come to their end. */
  async close(): Promise<void> {
    const { app, parts, sweeper, buckets, alerts, heartbeat, ownStores, stopping } = this.#built;
    stopping.abort();
    sweeper.stop();
    const stopped = Promise.all([buckets.stop(), alerts.stop(), heartbeat?.stop()]);
    const timer = setTimeout(() => app.server.closeAllConnections(), stopWithinMs);
    try {
      await app.close();
      await Promise.race([stopped, delay(stopWithinMs, undefined, { ref: false })]);
    } finally {
      clearTimeout(timer);
      ownStores.close();
      parts.catalog.$client.close();
      this.#lock.release();
    }
  }
}

/** A program that does not look at alerts any more, be it that its catalog cannot be written, is not well. */
function problemOf({ lookedAt }: AlertKeeper, now: number): string | undefined | null {
  if (lookedAt === undefined) return null;
  return now - lookedAt <= looksWithinMs
    ? undefined
    : `Alerts were looked at last at ${new Date(lookedAt).toISOString()}: see the log.`;
}

/** What agents and people know this control plane by. */
function certificateOf(
  { tls }: ControlPlaneConfiguration,
  pems: { cert: string } | undefined,
): { file: string; validTo: number } | undefined {
  if (!tls || !pems) return undefined;
  return { file: tls.certFile, validTo: new X509Certificate(pems.cert).validToDate.getTime() };
}

function listenFailed({ host, port }: { host: string; port: number }, cause: NodeJS.ErrnoException): ControlPlaneError {
  const place = `port ${port} of ${host}`;
  const [why, cure] = {
    EADDRINUSE: ['another program has it', 'End that program, or name another port by STRIDEIQ_LISTEN or `listen`.'],
    EACCES: ['this user may not', 'Ports below 1024 are for root: name another one by STRIDEIQ_LISTEN or `listen`.'],
    EADDRNOTAVAIL: ['this machine has no such address', 'Name one of its own by STRIDEIQ_LISTEN or `listen`.'],
    ENOTFOUND: ['there is no machine of that name', 'Name an address of this one by STRIDEIQ_LISTEN or `listen`.'],
  }[cause.code ?? ''] ?? [cause.message, 'Name another one by STRIDEIQ_LISTEN or `listen`.'];
  return new ControlPlaneError('ListenFailed', `The control plane cannot listen on ${place}: ${why}.`, cure, { cause });
}
