import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { CreateBucketCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import { TestkitError } from '../errors.ts';
import { OwnedDirectory } from '../processes/owned-directory.ts';
import { CephCluster, type S3Keys, type S3Options } from './ceph-cluster.ts';

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
  readonly #ceph: CephCluster;

  /** @internal Servers are made by {@link startS3}. */
  constructor(started: S3Keys & { endpoint: string }, parts: { owned: OwnedDirectory; ceph: CephCluster }) {
    this.endpoint = started.endpoint;
    this.accessKey = started.accessKey;
    this.secretKey = started.secretKey;
    this.#owned = parts.owned;
    this.#ceph = parts.ceph;
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
    return await this.#ceph.createUser(name);
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
      const ceph = new CephCluster(owned, options);
      return new S3Server(await ceph.start(), { owned, ceph });
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

async function logsOf(directory: string): Promise<string> {
  const names = await readdir(join(directory, 'log')).catch(() => []);
  const texts = await Promise.all(names.map((name) => readFile(join(directory, 'log', name), 'utf8')));
  return texts.map((text, at) => `${names[at]}:\n${text.slice(-1500)}`).join('\n');
}
