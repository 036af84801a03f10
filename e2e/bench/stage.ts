import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { createSampleDatabase, startPostgres, startS3, type PostgresCluster, type S3Server } from '@strideiq/testkit';
import { AgentHost, type HostOptions } from '../agent-host.ts';
import { Meter, type Measured } from './meter.ts';
import type { StockTool } from './stock-tools.ts';

const run = promisify(execFile);
/** Of the S3 server. */
export const bucket = 'strideiq-bench';

const repository = join(import.meta.dirname, '../..');

/**
 * The server is set up as most are, with write-ahead log that a replica could follow; only that nothing is forced to the
 * disk (testkit's own settings), since a bench is not to measure the disk, and that nobody tidies up meanwhile.
 */
const settings = { wal_level: 'replica', max_wal_senders: 4, autovacuum: 'off' };

/** As Node.js has it on a machine where koffi, and so libdeflate, is not installed. */
const withoutLibdeflate = [
  '--import',
  `data:text/javascript,${encodeURIComponent(
    `import { registerHooks } from 'node:module';
     registerHooks({ resolve: (name, context, next) => {
       if (name === 'koffi') throw new Error('left out');
       return next(name, context);
     } });`,
  )}`,
];

/** What the agent of this checkout can do; a bench also runs on older ones. */
export interface Abilities {
  /** `restore --jobs` */
  jobs: boolean;
  /** `restore --table` */
  tables: boolean;
  /** `restore --toast-compression` */
  lz4: boolean;
}

/** The servers, the agent as it ships, and a place for what is made. All of it goes with `end`. */
export class Stage {
  readonly directory = mkdtempSync(join(tmpdir(), 'strideiq-bench-'));
  readonly meter = new Meter(() => this.#cluster?.pid);
  abilities: Abilities = { jobs: false, tables: false, lz4: false };
  #cluster: PostgresCluster | undefined;
  #s3: S3Server | undefined;
  readonly #hosts: AgentHost[] = [];

  get cluster(): PostgresCluster {
    if (!this.#cluster) throw new Error('the stage has not been set up');
    return this.#cluster;
  }

  async setUp(): Promise<void> {
    this.#cluster = await startPostgres({ settings });
    await run(process.execPath, [join(repository, 'tools/bundle.mjs'), 'agent', this.#bundle]);
    const { stdout } = await run(process.execPath, [this.#agent, 'restore', '--help']);
    this.abilities = {
      jobs: stdout.includes('--jobs'),
      tables: stdout.includes('--table '),
      lz4: stdout.includes('--toast-compression'),
    };
  }

  async createSample(database: string, scaleMb: number): Promise<void> {
    await createSampleDatabase(this.cluster, database, { scaleMb });
    // Sets hint bits and fills caches, which is the first reader's trouble otherwise.
    await this.cluster.query(database, 'VACUUM');
    await this.#bash('pg_dump "$DATABASE" > /dev/null', { DATABASE: database });
  }

  /** An S3 server, whose objects live in memory, with an empty {@link bucket}. */
  async s3(): Promise<S3Server> {
    if (this.#s3) return this.#s3;
    this.#s3 = await startS3({ memoryBytes: 6 * 1024 ** 3 });
    await this.#s3.createBucket(bucket);
    return this.#s3;
  }

  host(options: Omit<HostOptions, 'cluster'>): AgentHost {
    const host = new AgentHost({ cluster: this.cluster, ...options });
    this.#hosts.push(host);
    return host;
  }

  /** Measures a line of stock tools. What it wrote under `OUTPUT` is told in bytes, and removed. */
  async stock({ line }: StockTool, variables: NodeJS.ProcessEnv): Promise<Measured & { bytes: number }> {
    const OUTPUT = join(this.directory, 'output');
    await this.#settle();
    try {
      const measured = await this.#bash(line, { ...variables, OUTPUT });
      return { ...measured, bytes: bytesUnder(OUTPUT) };
    } finally {
      rmSync(OUTPUT, { recursive: true, force: true });
    }
  }

  /** Measures a command of the agent as it ships, and reads what `--json` printed. */
  async agent(
    host: AgentHost,
    args: readonly string[],
    options: { byZlib?: boolean } = {},
  ): Promise<{ measured: Measured; said: unknown }> {
    await this.#settle();
    const { measured, stdout } = await this.meter.run({
      file: process.execPath,
      args: [
        ...(options.byZlib ? withoutLibdeflate : []),
        this.#agent,
        ...args,
        '--config',
        host.configurationFile,
        '--json',
      ],
      env: plainEnvironment(),
      watchedAs: this.#agent,
    });
    return { measured, said: JSON.parse(stdout) as unknown };
  }

  /** Which of these programs are not there. */
  missing(programs: readonly string[]): string[] {
    return programs.filter((program) => !this.#path.split(delimiter).some((each) => existsSync(join(each, program))));
  }

  async end(): Promise<void> {
    await this.meter.stop();
    for (const host of this.#hosts) host.remove();
    await Promise.all([this.#cluster?.stop(), this.#s3?.stop()]);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** The server writes now what it would have written in the middle of the next measurement. */
  async #settle(): Promise<void> {
    await this.cluster.query('postgres', 'CHECKPOINT');
  }

  async #bash(line: string, variables: NodeJS.ProcessEnv): Promise<Measured> {
    const env = { ...plainEnvironment(), ...this.cluster.clientEnv, PATH: this.#path, ...variables };
    return (await this.meter.run({ file: 'bash', args: ['-c', `set -eo pipefail; ${line}`], env })).measured;
  }

  get #path(): string {
    return [this.cluster.clientDir, process.env['PATH'] ?? ''].join(delimiter);
  }

  get #bundle(): string {
    return join(this.directory, 'agent');
  }

  get #agent(): string {
    return join(this.#bundle, 'strideiq-agent.js');
  }
}

/** The developer's own PG* and AWS_* variables must not decide a bench. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(PG|AWS_)/.test(name)));
}

/** Of a file, or of all that a directory holds. */
export function bytesUnder(path: string): number {
  if (!existsSync(path)) return 0;
  const found = statSync(path);
  if (!found.isDirectory()) return found.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesUnder(join(path, name)), 0);
}
