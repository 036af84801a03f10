import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasExited, type OwnedDirectory } from '../processes/owned-directory.ts';
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

/** One monitor, one object store in memory, one gateway: the least that Ceph needs to serve S3. */
export class CephCluster {
  readonly #owned: OwnedDirectory;
  readonly #options: S3Options;
  readonly #configuration: string;

  constructor(owned: OwnedDirectory, options: S3Options) {
    this.#owned = owned;
    this.#options = options;
    this.#configuration = join(owned.path, 'ceph.conf');
  }

  /** @returns where S3 is served, and the keys of a first user */
  async start(): Promise<S3Keys & { endpoint: string }> {
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
    const gateway = this.#spawn('radosgw', ['-n', 'client.rgw']);
    const keys = await this.createUser('testkit');
    const endpoint = `http://127.0.0.1:${port}`;
    await this.#until('the gateway', gateway, async () => {
      const answer = await fetch(endpoint).catch(() => undefined);
      await answer?.body?.cancel();
      return answer?.headers.has('x-amz-request-id') ?? false;
    });
    return { ...keys, endpoint };
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

  /** A user who owns nothing yet. */
  async createUser(name: string): Promise<S3Keys> {
    const keys = { accessKey: `${name}-${crypto.randomUUID().slice(0, 8)}`, secretKey: crypto.randomUUID() };
    const names = [`--uid=${name}`, `--display-name=${name}`];
    const given = [`--access-key=${keys.accessKey}`, `--secret-key=${keys.secretKey}`];
    await this.#run('radosgw-admin', ['user', 'create', ...names, ...given]);
    return keys;
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
