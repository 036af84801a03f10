import { databaseIdOf, newId } from '@strideiq/core';
import type { CommandEnvelope } from '@strideiq/protocol';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { composeDaemon, Host } from '../compose.ts';
import { loadConfiguration } from '../configuration/index.ts';
import { eventLines } from '../daemon/events.ts';
import { saveCredential } from '../enrolment/credential.ts';
import { AgentError } from '../errors.ts';
import { Journal } from '../journal/journal.ts';
import { openJournal } from '../journal/open-journal.ts';
import type { ScriptedControlPlane } from './scripted-control-plane.ts';

export interface TestAgentOptions {
  controlPlane: ScriptedControlPlane;
  /** Where it connects, if not straight to the control plane. */
  url?: string;
  /** As they stand in the file; left out: `app`, on a server that is not there. */
  databases?: Record<string, object>;
  stores?: Record<string, object>;
  trustBackups?: boolean;
  now?: () => number;
}

/** A host with an agent that is enrolled; started as `run` does it, in this process. */
export class TestAgent {
  readonly directory = mkdtempSync(join(tmpdir(), 'strideiq-agent-'));
  readonly stateDir = join(this.directory, 'state');
  readonly file = join(this.directory, 'agent.yaml');
  readonly backups = join(this.directory, 'backups');
  /** Everything that it has said. */
  readonly said: string[] = [];
  readonly #options: TestAgentOptions;
  #running: { host: Host; stop: AbortController; ended: Promise<void> } | undefined;

  constructor(options: TestAgentOptions) {
    this.#options = options;
    const { controlPlane, databases, stores, trustBackups, url = controlPlane.url } = options;
    mkdirSync(this.backups, { mode: 0o700 });
    const nowhere = { connection: { host: '127.0.0.1', port: 1, user: 'nobody' }, stores: ['local'] };
    const file = {
      version: 1,
      environment: 'test',
      controlPlane: { url, trustBackups },
      stateDir: this.stateDir,
      stores: { local: { type: 'directory', path: this.backups }, ...stores },
      databases: databases ?? { app: nowhere },
    };
    // JSON is YAML.
    writeFileSync(this.file, JSON.stringify(file));
    this.enrol(controlPlane.credential);
  }

  enrol(credential: string): void {
    const { url, agentId } = this.#options.controlPlane;
    saveCredential(this.stateDir, { url, agentId, environment: 'test', credential });
  }

  databaseId(name = 'app'): string {
    return databaseIdOf('test', name);
  }

  /** The host as a command of the program has it; the caller closes it. */
  async open(stop = new AbortController()): Promise<Host> {
    const { signal } = stop;
    const configuration = await loadConfiguration(this.file, {});
    const now = this.#options.now ?? Date.now;
    return new Host(configuration, { env: process.env, now, signal, secrets: new Set() });
  }

  async start(): Promise<Host> {
    const stop = new AbortController();
    const host = await this.open(stop);
    const { configuration } = host;
    const { now, secrets } = host.surroundings;
    const write = (line: string) => void this.said.push(line.trimEnd());
    const events = eventLines({ json: false, quiet: false, secrets, now, write });
    const url = configuration.controlPlane?.url ?? '';
    const ended = composeDaemon(host, { url, events }).run(stop.signal);
    this.#running = { host, stop, ended };
    return host;
  }

  /** As SIGTERM does. */
  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.stop.abort(new AgentError('Interrupted', 'Interrupted by SIGTERM.'));
    await running?.ended;
    running?.host.close();
  }

  /** The journal as another process of this host has it open. */
  withJournal<T>(work: (journal: Journal) => T): T {
    const journal = new Journal(openJournal(this.stateDir), this.#options.now ?? Date.now);
    try {
      return work(journal);
    } finally {
      journal.close();
    }
  }

  /** What stands in the journal. */
  rows(select: string): unknown[] {
    const db = openJournal(this.stateDir);
    try {
      return db.$client.prepare(select).all();
    } finally {
      db.$client.close();
    }
  }

  /** Changes the journal behind the agent's back. */
  sql(statement: string, ...values: unknown[]): void {
    const db = openJournal(this.stateDir);
    try {
      db.$client.prepare(statement).run(...values);
    } finally {
      db.$client.close();
    }
  }

  /** A command about one of its databases, good for an hour. */
  command(
    kind: string,
    body: object = {},
    more: Partial<CommandEnvelope> & { database?: string } = {},
  ): CommandEnvelope {
    const now = Date.now();
    const { database, ...rest } = more;
    return {
      commandId: newId(now),
      ...(kind === 'cancel' || kind === 'presign' ? {} : { runId: newId(now) }),
      databaseId: this.databaseId(database),
      kind,
      body,
      issuedAt: new Date(now).toISOString(),
      expiresAt: new Date(now + 3_600_000).toISOString(),
      ...rest,
    };
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
