import { setTimeout as delay } from 'node:timers/promises';
import { paragraphOf } from '@strideiq/core';
import { heartbeatUrl, ping, type Ping } from '@strideiq/heartbeat';
import { redacted } from '@strideiq/terminal';
import prettyBytes from 'pretty-bytes';
import { fillPlace, type AgentConfiguration, type DatabaseConfiguration } from '../configuration/index.ts';
import type { Journal } from '../journal/journal.ts';
import type { Run } from '../journal/schema.ts';

export interface HeartbeatsParts {
  journal: Pick<Journal, 'whenRun' | 'logOf'>;
  /** The host, as its file says now. */
  host: {
    readonly configuration: AgentConfiguration;
    databaseOfId(databaseId: string): DatabaseConfiguration | undefined;
  };
  env: NodeJS.ProcessEnv;
  secrets: Set<string>;
  /** Aborted when the program is to stop: what is under way is then tried no further. */
  signal: AbortSignal;
}

/**
 * Dead man's switches: says of each database when a backup begins and how it ended to a service of somebody's choice, which
 * raises an alarm where it hears of failures, or of nothing (`heartbeat` in the host's file). So also a host that nobody
 * else asks is missed when it is silent. What it says goes in the order of its runs, and holds up none of them.
 */
export class Heartbeats {
  readonly #parts: HeartbeatsParts;
  /** By database: what is still to be said of it. */
  readonly #saying = new Map<string, Promise<void>>();
  /** By name of the database: what was told of it. */
  readonly #problems = new Map<string, string>();
  /** What did not arrive is told, once for each reason. */
  warn: (text: string) => void = () => undefined;
  /** How a run ended is said again where it did not arrive, after so long: a service that hears nothing raises an alarm. */
  againAfterMs: readonly number[] = [1000, 5000];

  constructor(parts: HeartbeatsParts) {
    this.#parts = parts;
    parts.journal.whenRun((run) => this.#tell(run));
  }

  #tell(run: Run): void {
    const { databaseId, kind, detail } = run;
    const database = this.#parts.host.databaseOfId(databaseId);
    // One that is made before its database is replaced says nothing of the schedule.
    if (kind !== 'backup' || detail.safety === true || !database?.heartbeat) return;
    const said = this.#pingOf(run, database);
    if (!said) return;
    const before = this.#saying.get(databaseId) ?? Promise.resolve();
    const saying = before.then(async () => this.#say(database, said));
    this.#saying.set(databaseId, saying);
    void saying.finally(() => {
      if (this.#saying.get(databaseId) === saying) this.#saying.delete(databaseId);
    });
  }

  /** No backup fails for what keeps it from being said. */
  #pingOf(run: Run, database: DatabaseConfiguration): Ping | undefined {
    try {
      return pingOf(run, this.#parts.journal);
    } catch (error) {
      this.#fail(database, error);
      return undefined;
    }
  }

  #fail({ name }: DatabaseConfiguration, error: unknown): void {
    const text = redacted(`the heartbeat of ${name} did not arrive: ${paragraphOf(error)}`, this.#parts.secrets);
    if (text !== this.#problems.get(name)) this.warn(text);
    this.#problems.set(name, text);
  }

  /** Never rejects. */
  async #say(database: DatabaseConfiguration, said: Ping): Promise<void> {
    for (const againMs of [...(said.kind === 'start' ? [] : this.againAfterMs), undefined]) {
      try {
        await this.#ping(database, said);
        this.#problems.delete(database.name);
        return;
      } catch (error) {
        if (againMs === undefined || this.#parts.signal.aborted) return this.#fail(database, error);
        await delay(againMs);
      }
    }
  }

  async #ping(database: DatabaseConfiguration, said: Ping): Promise<void> {
    const url = await this.urlOf(database);
    // Not ended with the program: that it was stopped is what there is to say.
    const { signal } = new AbortController();
    await ping(url, { ...said, text: redacted(said.text ?? '', this.#parts.secrets) }, signal);
  }

  /** @throws as `heartbeatUrl` does */
  async urlOf({ name, heartbeat = {} }: DatabaseConfiguration): Promise<URL> {
    const { host, env, secrets } = this.#parts;
    const { environment, controlPlane } = host.configuration;
    return heartbeatUrl(heartbeat, {
      env,
      secrets,
      allowPlainText: controlPlane?.allowPlainText ?? false,
      fill: (text) => fillPlace(text, environment, name),
    });
  }

  /** Resolves once everything is said, or was tried for long enough. */
  async settled(): Promise<void> {
    await Promise.all(this.#saying.values());
  }
}

/** A backup of which a copy failed is none that somebody should be at ease about. */
function pingOf(run: Run, journal: Pick<Journal, 'logOf'>): Ping | undefined {
  const { id: runId, state } = run;
  if (state === 'running') return { kind: 'start', runId };
  if (state === 'cancelling') return undefined;
  const copies = (run.detail.copies ?? []).filter((copy) => 'state' in copy);
  if (state === 'succeeded' && copies.every((copy) => copy.state === 'stored')) {
    return { runId, text: describe(run, copies) };
  }
  const text = [describe(run, copies), '', ...journal.logOf(runId)].join('\n');
  return { kind: 'fail', runId, text };
}

function describe(
  { database, environment, state, error, detail }: Run,
  copies: readonly { store: string; state: string; error?: string }[],
): string {
  const { sealed, rows, bytes } = detail;
  const made = sealed ? [`${sealed.objectName}: ${rows ?? 0} rows, ${prettyBytes(bytes ?? 0)}`] : [];
  return [
    `Backup of ${database} in ${environment}: ${state}`,
    ...(error === null ? [] : [error]),
    ...made,
    ...copies.map(({ store, state: copy, error: why }) => `${store}: ${copy}${why === undefined ? '' : `, ${why}`}`),
  ].join('\n');
}
