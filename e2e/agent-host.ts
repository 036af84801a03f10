import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fixedNames } from '@strideiq/core';
import { waitFor, type PostgresCluster, type S3Keys, type S3Server } from '@strideiq/testkit';
import { programFile } from './programs.ts';

/** How a command of the agent ended. */
export interface AgentResult {
  /** Exit code; undefined where a signal ended it. */
  code: number | undefined;
  signal: string | undefined;
  stdout: string;
  stderr: string;
}

/** A command under way. */
export interface RunningAgent {
  process: ChildProcess;
  result: Promise<AgentResult>;
}

export interface HostOptions {
  cluster: PostgresCluster;
  /** On the server; also its name in the file where that is a safe one. */
  database: string;
  /** Name in the file. Default: `database`. */
  name?: string;
  /** Also a store `s3` in this bucket, under `backups/`. */
  s3?: { server: Pick<S3Server, 'region' | 'accessKey' | 'secretKey'> & S3Keys; endpoint: string; bucket: string };
  /** Lines that go below `dump:`. */
  dump?: Record<string, unknown>;
  /** Another bucket, as the store stands in the file. */
  bucket?: Record<string, unknown>;
  /** Over the connection made from the cluster. */
  connection?: Record<string, unknown>;
  /** In place of that connection: a URL, kept in a file. */
  url?: string;
  /** Default: `local`, and `s3` where there is one. */
  stores?: string[];
  /** Another host's: journal and key are then its own. */
  stateDirectory?: string;
  /** Default: `test`. */
  environment?: string;
  /** Address of the control plane that the file names. */
  controlPlane?: string;
  /** Default: the file does not say. */
  trustBackups?: boolean;
  /** More stores of the file, which the database does not back up to. */
  moreStores?: Record<string, unknown>;
  /** More databases of the file, as they stand there. */
  moreDatabases?: Record<string, unknown>;
  /** Remote actions; left out: the default. */
  allow?: string[];
  /** Lines that go below `hooks:`. */
  hooks?: Record<string, unknown>;
  /** Lines that go below `drill:`. */
  drill?: Record<string, unknown>;
  /** Lines that go below `keepReplaced:`. */
  keepReplaced?: Record<string, unknown>;
  /** Lines that stand in the database itself, such as `schedule`. */
  more?: Record<string, unknown>;
  /** More environment variables of every command. */
  env?: NodeJS.ProcessEnv;
}

/**
 * Waits for what a command is to bring about while it runs: up to 60 s, since all of a start lies before it, and no longer
 * than the command lives.
 * @throws Error with the command's own words where it ends before
 */
export async function during<Value>(
  { process, result }: RunningAgent,
  ...[what, condition, options]: Parameters<typeof waitFor<Value>>
): Promise<Exclude<Value, undefined | false>> {
  return waitFor(
    what,
    async () => {
      const ended = process.exitCode !== null || process.signalCode !== null;
      const value = await condition();
      if (!ended || (value !== undefined && value !== false)) return value;
      const { code, signal, stderr } = await result;
      throw new Error(`${what}: the command ended before with ${signal ?? code}: ${stderr}`);
    },
    { timeoutMs: 60_000, ...options },
  );
}

/** The program as it ships. */
export const agentProgram = programFile('agent');

/** A database host with an agent.yaml, a state directory and a directory store of its own; used by the shipped program alone. */
export class AgentHost {
  readonly directory = mkdtempSync(join(tmpdir(), 'strideiq-e2e-'));
  readonly backupDirectory = join(this.directory, 'backups');
  readonly stateDirectory: string;
  readonly configurationFile = join(this.directory, 'agent.yaml');
  readonly database: string;
  readonly environment: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(options: HostOptions) {
    const { cluster, database, name = database, s3 } = options;
    this.database = name;
    this.environment = options.environment ?? 'test';
    this.stateDirectory = options.stateDirectory ?? join(this.directory, 'state');
    mkdirSync(this.backupDirectory, { mode: 0o700 });
    const s3Store = s3 === undefined ? options.bucket : this.#s3Store(s3);
    const withS3 = s3Store === undefined ? {} : { s3: s3Store };
    const own = {
      host: cluster.host,
      port: cluster.port,
      user: cluster.user,
      database,
      ...(cluster.password === undefined ? {} : { passwordFile: this.secretFile('postgres', cluster.password) }),
      ...options.connection,
    };
    const connection = options.url === undefined ? own : { urlFile: this.secretFile('url', options.url) };
    // JSON is YAML.
    const configuration = {
      version: 1,
      environment: this.environment,
      ...(options.controlPlane === undefined
        ? {}
        : { controlPlane: { url: options.controlPlane, trustBackups: options.trustBackups } }),
      stateDir: this.stateDirectory,
      stores: { local: { type: 'directory', path: this.backupDirectory }, ...withS3, ...options.moreStores },
      databases: {
        [name]: {
          connection,
          stores: options.stores ?? ['local', ...Object.keys(withS3)],
          ...(options.allow === undefined ? {} : { allow: options.allow }),
          ...(options.hooks === undefined ? {} : { hooks: options.hooks }),
          ...(options.drill === undefined ? {} : { drill: options.drill }),
          ...(options.keepReplaced === undefined ? {} : { keepReplaced: options.keepReplaced }),
          ...options.more,
          dump: { ...(options.url === undefined ? { pgDump: cluster.clientDir } : {}), ...options.dump },
        },
        ...options.moreDatabases,
      },
    };
    writeFileSync(this.configurationFile, JSON.stringify(configuration, undefined, 2));
    this.#env = options.env ?? {};
  }

  #s3Store({ server, endpoint, bucket }: NonNullable<HostOptions['s3']>): object {
    const credentials = {
      accessKeyIdFile: this.secretFile('s3-key', server.accessKey),
      secretAccessKeyFile: this.secretFile('s3-secret', server.secretKey),
    };
    return { type: 's3', bucket, prefix: 'backups/', region: server.region, endpoint, credentials };
  }

  /** Writes a secret where only its owner reads it. */
  secretFile(name: string, secret: string): string {
    const file = join(this.directory, name);
    writeFileSync(file, `${secret}\n`, { mode: 0o600 });
    return file;
  }

  /** Starts a command with this host's configuration. */
  start(...args: readonly string[]): RunningAgent {
    return this.startPlain(...args, '--config', this.configurationFile);
  }

  /** Starts a command as it stands. */
  startPlain(...args: readonly string[]): RunningAgent {
    const child = spawn(process.execPath, [agentProgram, ...args], {
      env: { ...withoutPostgres(process.env), ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return { process: child, result: this.#resultOf(child) };
  }

  async #resultOf(child: ChildProcess): Promise<AgentResult> {
    const { stdout, stderr } = child;
    if (!stdout || !stderr) throw new Error('the agent has no output');
    const [out, err, [code, signal]] = await Promise.all([text(stdout), text(stderr), once(child, 'exit')]);
    return {
      code: (code as number | null) ?? undefined,
      signal: (signal as string | null) ?? undefined,
      stdout: out,
      stderr: err,
    };
  }

  /** Runs a command to its end. */
  async run(...args: readonly string[]): Promise<AgentResult> {
    return this.start(...args).result;
  }

  /** Runs a command that must exit 0, and returns what `--json` printed. */
  async json<T = Record<string, unknown>>(...args: readonly string[]): Promise<T> {
    const { code, signal, stdout, stderr } = await this.run(...args, '--json');
    if (code !== 0)
      throw new Error(`strideiq-agent ${args.join(' ')} ended with ${signal ?? code}: ${stderr}\n${stdout}`);
    return JSON.parse(stdout) as T;
  }

  /** Names in the directory store, sorted; hidden ones too. */
  files(): string[] {
    return readdirSync(this.backupDirectory).toSorted();
  }

  /** Removes the backups, and leaves what says whose they are: without it the directory looks like one that is not mounted. */
  clearBackups(): void {
    for (const file of this.files()) {
      if (file !== fixedNames.owner) rmSync(join(this.backupDirectory, file), { recursive: true, force: true });
    }
  }

  path(name: string): string {
    return join(this.backupDirectory, name);
  }

  /** Removes everything of the host. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The developer's own PG* and AWS_* variables must not decide a test. */
function withoutPostgres(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(PG|AWS_)/.test(name)));
}
