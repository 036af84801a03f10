import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { freePort, waitFor } from '@strideiq/testkit';
import Database from 'better-sqlite3';
import type { AgentHost, RunningAgent } from './agent-host.ts';
import { programFile } from './programs.ts';

/** The program as it ships. */
export const controlPlaneProgram = programFile('control-plane');

/** An answer of the REST face. */
export interface Answer {
  status: number;
  body: Record<string, unknown>;
  contentType: string;
}

export interface Run extends Record<string, unknown> {
  id: string;
  kind: string;
  state: string;
}

/** States that a run does not leave. */
export const ended = ['succeeded', 'failed', 'cancelled', 'expired', 'lost'];

/** A control plane with a data directory of its own; used by the shipped program and its REST face alone. */
export class ControlPlaneServer {
  readonly directory = mkdtempSync(join(tmpdir(), 'strideiq-control-plane-'));
  readonly dataDirectory = join(this.directory, 'data');
  readonly #env: NodeJS.ProcessEnv;
  readonly #serve = ['serve'];
  readonly #scheme: 'http' | 'https';
  #port = 0;
  #process: ChildProcess | undefined;
  #said = '';

  /** @param file what its configuration file says, where it is to have one */
  constructor(env: NodeJS.ProcessEnv = {}, file?: Record<string, unknown>) {
    this.#env = env;
    this.#scheme = file?.['tlsCert'] === undefined ? 'http' : 'https';
    if (!file) return;
    // JSON is YAML.
    writeFileSync(join(this.directory, 'control-plane.yaml'), JSON.stringify({ version: 1, ...file }));
    this.#serve.push('--config', join(this.directory, 'control-plane.yaml'));
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.#port}`;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** The key that the first start has made. */
  get adminKey(): string {
    return readFileSync(join(this.dataDirectory, 'admin.key'), 'utf8').trim();
  }

  /** Everything that it has printed so far. */
  get said(): string {
    return this.#said;
  }

  /** Starts it, on the port that it had before, and waits until it is ready. */
  async start(): Promise<void> {
    if (this.#port === 0) this.#port = await freePort();
    const child = this.#spawn(this.#serve, { STRIDEIQ_LISTEN: `127.0.0.1:${this.#port}` });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (piece: string) => {
        this.#said = (this.#said + piece).slice(-200_000);
      });
    }
    await waitFor(
      'the control plane to be ready',
      async () => {
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(`the control plane ended with ${child.exitCode ?? child.signalCode}: ${this.#said}`);
        }
        return this.#isReady();
      },
      { timeoutMs: 60_000 },
    );
  }

  async #isReady(): Promise<boolean> {
    if (!this.url.startsWith('https:')) {
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined);
      return answer?.ok === true;
    }
    // Whose certificate it is, is not what is asked.
    const asked = get(`${this.url}/readyz`, { rejectUnauthorized: false });
    const [answer] = (await once(asked, 'response').catch(() => [])) as IncomingMessage[];
    answer?.resume();
    return answer?.statusCode === 200;
  }

  #spawn(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    return spawn(process.execPath, [controlPlaneProgram, ...args], {
      env: { ...process.env, STRIDEIQ_DATA_DIR: this.dataDirectory, ...this.#env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Runs another of its commands on the same data directory, which must exit 0. @returns what it printed */
  async run(...args: readonly string[]): Promise<string> {
    const child = this.#spawn(args);
    if (!child.stdout || !child.stderr) throw new Error('the control plane has no output');
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    if (code !== 0)
      throw new Error(`strideiq-control-plane ${args.join(' ')} ended with ${String(code)}: ${err}${out}`);
    return out;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** One request to the REST face, as curl would send it. */
  async request(
    method: string,
    path: string,
    options: { body?: unknown; key?: string; idempotencyKey?: string } = {},
  ): Promise<Answer> {
    const headers: Record<string, string> = { authorization: `Bearer ${options.key ?? this.adminKey}` };
    if (options.body !== undefined) headers['content-type'] = 'application/json';
    if (options.idempotencyKey !== undefined) headers['idempotency-key'] = options.idempotencyKey;
    const answer = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers,
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      signal: AbortSignal.timeout(30_000),
    });
    return {
      status: answer.status,
      body: (await answer.json()) as Record<string, unknown>,
      contentType: answer.headers.get('content-type') ?? '',
    };
  }

  /** What a GET answers, which must be 200. */
  async get<T = Record<string, unknown>>(path: string, key?: string): Promise<T> {
    const { status, body } = await this.request('GET', path, key === undefined ? {} : { key });
    if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${JSON.stringify(body)}`);
    return body as T;
  }

  /** Asks for work, which must be taken on. @returns the run's id */
  async ask(path: string, body: unknown, options: { key?: string; idempotencyKey?: string } = {}): Promise<string> {
    const answer = await this.request('POST', path, { body, ...options });
    if (answer.status !== 202)
      throw new Error(`POST ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body['runId'] as string;
  }

  /** Waits for the end of a run. */
  async ended(runId: string, timeoutMs = 120_000): Promise<Run> {
    return waitFor(
      `the end of run ${runId}`,
      async () => {
        const run = await this.get<Run>(`/runs/${runId}`);
        return ended.includes(run.state) ? run : undefined;
      },
      { timeoutMs, everyMs: 100 },
    );
  }

  /** Enrols a host and starts its daemon, and waits until it is connected. */
  async enrol(host: AgentHost, url = this.url): Promise<RunningAgent> {
    const made = await this.request('POST', '/enroll-tokens', { body: { environment: host.environment } });
    await host.json('enroll', '--url', url, '--token', made.body['token'] as string);
    const daemon = host.start('run');
    await this.connected(host);
    return daemon;
  }

  /** Waits until a host's daemon is connected and its database is known. @returns their ids */
  async connected(host: AgentHost): Promise<{ agentId: string; databaseId: string }> {
    return waitFor(
      `${host.database} of ${host.environment} to be connected`,
      async () => {
        const { items: databases } = await this.get<{ items: Known[] }>('/databases?limit=200');
        const database = databases.find(
          ({ name, environment }) => name === host.database && environment === host.environment,
        );
        if (database === undefined) return undefined;
        const agent = await this.get<{ connected: boolean }>(`/agents/${database.agentId}`);
        return agent.connected ? { agentId: database.agentId, databaseId: database.id } : undefined;
      },
      { timeoutMs: 60_000, everyMs: 100 },
    );
  }

  /** Rows of the catalog, looked at without any part of the product. */
  rows<T>(sql: string, ...values: unknown[]): T[] {
    const catalog = new Database(join(this.dataDirectory, 'catalog.db'), { readonly: true, timeout: 10_000 });
    try {
      return catalog.prepare(sql).all(...values) as T[];
    } finally {
      catalog.close();
    }
  }
}

interface Known {
  id: string;
  name: string;
  environment: string;
  agentId: string;
}
