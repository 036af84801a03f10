import { type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { CreateBucketCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import { TestkitError } from '../errors.ts';
import { hasExited, OwnedDirectory } from '../processes/owned-directory.ts';
import { freePort } from '../processes/ports.ts';
import { run } from '../processes/run.ts';
import { waitFor } from '../processes/wait.ts';
import { cephConfiguration } from './ceph-configuration.ts';

export interface S3Options {
  /** What the server can hold, in memory; a small value is a disk that runs full. Default 4 GiB. */
  memoryBytes?: number;
  /** How long a day of lifecycle rules lasts; real days where left out. */
  lifecycleDaySeconds?: number;
}

export interface S3Keys {
  accessKey: string;
  secretKey: string;
}

export interface BucketOptions {
  versioning?: boolean;
  /** Implies versioning. */
  objectLock?: boolean;
}

const programs = ['ceph', 'ceph-authtool', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin'];

/** Whether this machine has what {@link startS3} needs. */
export function s3Available(): boolean {
  const path = (process.env['PATH'] ?? '').split(delimiter);
  return programs.every((program) => path.some((directory) => existsSync(join(directory, program))));
}

/** A real S3 server, Ceph RGW, whose objects live in memory. Path-style addressing, SigV4. */
export class S3Server implements S3Keys {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly region = 'us-east-1';
  readonly #owned: OwnedDirectory;
  readonly #admin: (args: readonly string[]) => Promise<unknown>;

  /** @internal Servers are made by {@link startS3}. */
  constructor(
    endpoint: string,
    keys: S3Keys,
    parts: { owned: OwnedDirectory; admin: (args: readonly string[]) => Promise<unknown> },
  ) {
    this.endpoint = endpoint;
    this.accessKey = keys.accessKey;
    this.secretKey = keys.secretKey;
    this.#owned = parts.owned;
    this.#admin = parts.admin;
  }

  /** Everything it keeps on disk: configuration, keys, logs. */
  get directory(): string {
    return this.#owned.path;
  }

  /** A client for tests; the caller destroys it. `keys` default to those of the first user, who may do everything. */
  client(keys: S3Keys = this): S3Client {
    return new S3Client({
      endpoint: this.endpoint,
      region: this.region,
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      credentials: { accessKeyId: keys.accessKey, secretAccessKey: keys.secretKey },
    });
  }

  async createBucket(name: string, { versioning = false, objectLock = false }: BucketOptions = {}): Promise<void> {
    const client = this.client();
    try {
      await client.send(
        new CreateBucketCommand({ Bucket: name, ...(objectLock ? { ObjectLockEnabledForBucket: true } : {}) }),
      );
      if (versioning && !objectLock) {
        const VersioningConfiguration = { Status: 'Enabled' as const };
        await client.send(new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration }));
      }
    } finally {
      client.destroy();
    }
  }

  /** A user who owns nothing and may do nothing with the buckets of others. */
  async createUser(name: string): Promise<S3Keys> {
    return await createUser(this.#admin, name);
  }

  /** Ends the server and forgets all it held. May be called twice. */
  async stop(): Promise<void> {
    await this.#owned.end();
  }
}

/**
 * A new S3 server without buckets, on ports of its own. It ends with `stop`, and also when this process dies in
 * whatever way.
 * @throws TestkitError `NotInstalled`, `ServerDidNotStart`
 */
export async function startS3(options: S3Options = {}): Promise<S3Server> {
  if (!s3Available()) {
    throw new TestkitError(
      'NotInstalled',
      'Ceph RGW is not installed. On Debian: apt-get install --no-install-recommends ceph-mon ceph-osd ceph-mgr radosgw',
    );
  }
  for (let attempt = 1; ; attempt++) {
    const owned = new OwnedDirectory('testkit-s3-');
    try {
      return await new CephCluster(owned, options).start();
    } catch (cause) {
      const logs = await logsOf(owned.path);
      await owned.end();
      // Another process may have taken a port between our asking and the server's binding.
      if (attempt < 3 && /address already in use|unable to bind/i.test(logs)) continue;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new TestkitError('ServerDidNotStart', `Ceph RGW did not start: ${why}\n${logs.slice(-4000)}`, { cause });
    }
  }
}

/** One monitor, one object store in memory, one gateway: the least that Ceph needs to serve S3. */
class CephCluster {
  readonly #owned: OwnedDirectory;
  readonly #options: S3Options;
  readonly #configuration: string;

  constructor(owned: OwnedDirectory, options: S3Options) {
    this.#owned = owned;
    this.#options = options;
    this.#configuration = join(owned.path, 'ceph.conf');
  }

  async start(): Promise<S3Server> {
    const [port, monitorPort] = await Promise.all([freePort(), freePort()]);
    const clusterId = crypto.randomUUID();
    for (const name of ['mon', 'osd', 'rgw', 'log', 'run']) await mkdir(this.#path(name));
    const directory = this.#owned.path;
    await writeFile(
      this.#configuration,
      cephConfiguration({ ...this.#options, clusterId, directory, port, monitorPort }),
    );
    await this.#startMonitor(clusterId, monitorPort);
    await this.#startObjectStore();
    const admin = async (args: readonly string[]): Promise<unknown> =>
      JSON.parse((await this.#run('radosgw-admin', [...args, '--format=json'])).replace(/^[^{[]*/, ''));
    const gateway = this.#spawn('radosgw', ['-n', 'client.rgw']);
    const keys = await createUser(admin, 'testkit');
    const endpoint = `http://127.0.0.1:${port}`;
    await this.#until('the gateway', gateway, async () => {
      const answer = await fetch(endpoint).catch(() => undefined);
      await answer?.body?.cancel();
      return answer?.headers.has('x-amz-request-id') ?? false;
    });
    return new S3Server(endpoint, keys, { owned: this.#owned, admin });
  }

  async #startMonitor(clusterId: string, port: number): Promise<void> {
    const keyring = this.#path('keyring');
    const map = this.#path('monmap');
    const key = (name: string, ...caps: string[]): string[] => [
      '--gen-key',
      '-n',
      name,
      ...caps.flatMap((cap) => ['--cap', cap, 'allow *']),
    ];
    await run('monmaptool', [
      '--create',
      '--clobber',
      '--fsid',
      clusterId,
      '--addv',
      'a',
      `[v2:127.0.0.1:${port}]`,
      map,
    ]);
    await run('ceph-authtool', ['--create-keyring', keyring, ...key('mon.', 'mon')]);
    await run('ceph-authtool', [keyring, ...key('client.admin', 'mon', 'osd', 'mgr')]);
    await run('ceph-authtool', [keyring, ...key('client.rgw', 'mon', 'osd')]);
    await this.#run('ceph-mon', ['--mkfs', '-i', 'a', '--monmap', map, '--keyring', keyring]);
    const monitor = this.#spawn('ceph-mon', ['-i', 'a']);
    await this.#until('the monitor', monitor, async () => {
      const answer = await this.#run('ceph', ['-s', '--connect-timeout', '2']).catch(() => undefined);
      return answer !== undefined;
    });
  }

  async #startObjectStore(): Promise<void> {
    const keyring = this.#path('osd', 'keyring');
    const storeId = crypto.randomUUID();
    await run('ceph-authtool', ['--create-keyring', keyring, '--gen-key', '-n', 'osd.0']);
    const rights = ['mon', 'allow profile osd', 'osd', 'allow *', 'mgr', 'allow profile osd'];
    await this.#run('ceph', ['auth', 'add', 'osd.0', ...rights, '-i', keyring]);
    await this.#run('ceph', ['osd', 'new', storeId, '0']);
    await this.#run('ceph-osd', ['-i', '0', '--keyring', keyring, '--mkfs', '--osd-uuid', storeId]);
    const store = this.#spawn('ceph-osd', ['-i', '0', '--keyring', keyring]);
    await this.#until('the object store', store, async () => {
      const answer = await this.#run('ceph', ['osd', 'stat']).catch(() => '');
      return answer.includes('1 up');
    });
  }

  #path(...parts: string[]): string {
    return join(this.#owned.path, ...parts);
  }

  async #run(program: string, args: readonly string[]): Promise<string> {
    const { stdout } = await run(program, ['-c', this.#configuration, ...args], { timeoutMs: 20_000 });
    return stdout;
  }

  #spawn(program: string, args: readonly string[]): ChildProcess {
    const out = openSync(this.#path('log', `${program}.out`), 'a');
    try {
      const stdio = ['ignore', out, out] as const;
      return this.#owned.spawn(program, ['-c', this.#configuration, ...args, '-f'], { stdio: [...stdio] }, 'KILL');
    } finally {
      closeSync(out);
    }
  }

  async #until(what: string, server: ChildProcess, condition: () => Promise<boolean>): Promise<void> {
    await waitFor(
      what,
      async () => {
        if (hasExited(server)) throw new Error(`${what} ended with ${server.signalCode ?? server.exitCode}`);
        return await condition();
      },
      { timeoutMs: 30_000, everyMs: 20 },
    );
  }
}

async function createUser(admin: (args: readonly string[]) => Promise<unknown>, name: string): Promise<S3Keys> {
  const keys = { accessKey: `${name}-${crypto.randomUUID().slice(0, 8)}`, secretKey: crypto.randomUUID() };
  await admin([
    'user',
    'create',
    `--uid=${name}`,
    `--display-name=${name}`,
    `--access-key=${keys.accessKey}`,
    `--secret-key=${keys.secretKey}`,
  ]);
  return keys;
}

async function logsOf(directory: string): Promise<string> {
  const names = await readdir(join(directory, 'log')).catch(() => []);
  const texts = await Promise.all(names.map((name) => readFile(join(directory, 'log', name), 'utf8')));
  return texts.map((text, at) => `${names[at]}:\n${text.slice(-1500)}`).join('\n');
}
