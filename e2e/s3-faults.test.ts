import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { S3Client } from '@aws-sdk/client-s3';
import {
  createSampleDatabase,
  startHttpFaultProxy,
  startPostgres,
  startS3,
  startTcpProxy,
  waitFor,
  type HttpFault,
  type HttpFaultProxy,
  type HttpRule,
  type PostgresCluster,
  type S3Keys,
  type S3Server,
} from '@strideiq/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentHost, agentProgram, during, type AgentResult } from './agent-host.ts';
import { childrenOf } from './processes.ts';
import {
  expectNothingLeft,
  expectOnlyWhole,
  expectTrueOutcomes,
  journalOf,
  rawBucket,
  rawDirectory,
} from './raw-state.ts';

/** An S3 that fails: the copy is tried again, then given up with a clear word; the directory's copy is made all the same. */

let cluster: PostgresCluster;
let s3: S3Server;
let client: S3Client;
const hosts: AgentHost[] = [];
const proxies: HttpFaultProxy[] = [];

beforeAll(async () => {
  [cluster, s3] = await Promise.all([startPostgres(), startS3()]);
  await createSampleDatabase(cluster, 'app', { scaleMb: 26 });
  client = s3.client();
}, 240_000);

afterAll(async () => {
  client?.destroy();
  for (const host of hosts) host.remove();
  await Promise.all(proxies.map(async (proxy) => proxy.stop()));
  await Promise.all([cluster?.stop(), s3?.stop()]);
});

interface Given {
  bucket?: string;
  endpoint?: string;
  keys?: S3Keys;
  stores?: string[];
}

/**
 * A host with a database, a proxy and, unless one is named, a bucket of its own: most of these tests wait most of the
 * time, and so they wait at once.
 */
async function newHost(given: Given = {}) {
  const bucket = given.bucket ?? `faults-${crypto.randomUUID()}`;
  const database = `app_${crypto.randomUUID().slice(0, 8)}`;
  const proxy = await startHttpFaultProxy({ to: s3.endpoint });
  proxies.push(proxy);
  if (given.bucket === undefined) await s3.createBucket(bucket);
  await cluster.createDatabase(database, { template: 'app' });
  const { accessKey, secretKey } = given.keys ?? s3;
  const host = new AgentHost({
    cluster,
    database,
    s3: { server: { region: s3.region, accessKey, secretKey }, endpoint: given.endpoint ?? proxy.endpoint, bucket },
    dump: { stallLimit: '3s', compressionLevel: 1 },
    ...(given.stores ? { stores: given.stores } : {}),
  });
  hosts.push(host);
  return { host, proxy, local: rawDirectory(host.backupDirectory), s3: rawBucket(client, bucket) };
}

interface Copies {
  copies: { store: string; state: string; errorCode?: string; error?: string }[];
}

/** The backup exits 1, the directory's copy is whole, and S3's has failed for one clear reason. */
function expectOnlyLocal({ code, stdout, stderr }: AgentResult, why: { errorCode: string; error: RegExp }): void {
  const { copies } = JSON.parse(stdout) as Copies;
  expect({ code, copies }).toMatchObject({
    code: 1,
    copies: [
      { store: 'local', state: 'stored' },
      { store: 's3', state: 'failed', errorCode: why.errorCode, error: expect.stringMatching(why.error) as string },
    ],
  });
  const error = copies[1]?.error ?? '';
  expect(error).not.toContain('\n');
  expect(stderr).toContain(`error: the copy in s3 (s3://`);
  expect(stderr).toContain(error);
}

const parts = { method: 'PUT', queryIncludes: 'partNumber=' };
const completion = { method: 'POST', queryIncludes: 'uploadId=' };
const slowDown: HttpFault = { status: 503, code: 'SlowDown', message: 'Please reduce your request rate.' };
const internal: HttpFault = { status: 500, code: 'InternalError' };

describe.concurrent('for a while', () => {
  const faults: { what: string; rule: HttpRule }[] = [
    { what: '503 SlowDown to the first requests', rule: { times: 3, fault: slowDown } },
    { what: '500 to parts', rule: { ...parts, times: 3, fault: internal } },
    { what: 'resets of parts', rule: { ...parts, times: 3, fault: 'reset' } },
    { what: 'a part that is never answered', rule: { ...parts, nth: 2, fault: 'stall' } },
    { what: 'a completion that was carried out, its answer lost', rule: { ...completion, nth: 1, fault: 'drop' } },
    { what: '500 to the completion', rule: { ...completion, times: 2, fault: internal } },
    { what: '503 to the manifest', rule: { method: 'PUT', pathIncludes: '.manifest.json', times: 2, fault: slowDown } },
  ];

  test.each(faults)('$what: both copies are stored', async ({ rule }) => {
    const { host, proxy, local, s3: bucket } = await newHost();
    proxy.add(rule);
    const { copies } = await host.json<Copies>('backup');
    expect(copies).toMatchObject([{ state: 'stored' }, { state: 'stored' }]);
    expect(proxy.requests.some(({ fault }) => fault !== undefined)).toBe(true);
    await expectNothingLeft(cluster, [local, bucket]);
    await expectTrueOutcomes(host, cluster, [local, bucket]);
  });
});

describe.concurrent('for good', () => {
  const busy = { errorCode: 'StorageBusy', error: /overloaded or not well \(\w+, HTTP 50[03]\)/ };
  const unreachable = { errorCode: 'StorageUnreachable', error: /did not answer, or not to the end/ };
  const denied = { errorCode: 'AccessDenied', error: /Grant s3:PutObject/ };
  const faults = [
    { what: '503 SlowDown to everything', rule: { fault: slowDown }, why: busy, tries: 3 },
    { what: '500 to parts', rule: { ...parts, fault: internal }, why: busy, tries: 3 },
    { what: 'resets of parts', rule: { ...parts, fault: 'reset' }, why: unreachable, tries: 3 },
    { what: 'parts that are never answered', rule: { ...parts, fault: 'stall' }, why: unreachable, tries: 2 },
    { what: 'nothing is ever answered', rule: { fault: 'stall' }, why: unreachable, tries: 2 },
    { what: '500 to the completion', rule: { ...completion, fault: internal }, why: busy, tries: 3 },
    { what: '403 to parts', rule: { ...parts, fault: { status: 403, code: 'AccessDenied' } }, why: denied, tries: 1 },
  ] satisfies { what: string; rule: HttpRule; why: { errorCode: string; error: RegExp }; tries: number }[];

  test.each(faults)('$what: that copy is given up, the directory has its own', async ({ rule, why, tries }) => {
    const { host, proxy, local, s3: bucket } = await newHost();
    proxy.add(rule);
    expectOnlyLocal(await host.run('backup', '--json'), why);
    expect(proxy.requests.filter(({ fault }) => fault !== undefined).length).toBeGreaterThanOrEqual(tries);
    // Where the server could be reached for that, also its half of an upload is gone.
    await expectNothingLeft(cluster, [local, bucket]);
    await expectTrueOutcomes(host, cluster, [local, bucket]);
  });

  test('an unknown bucket', async () => {
    const { host, local } = await newHost({ bucket: 'nobody-made-this' });
    expectOnlyLocal(await host.run('backup', '--json'), { errorCode: 'BucketMissing', error: /nobody-made-this/ });
    expect((await expectOnlyWhole(local)).size).toBe(1);
  });

  test('a wrong secret', async () => {
    const { host, local } = await newHost({ keys: { accessKey: s3.accessKey, secretKey: 'not-the-secret' } });
    const result = await host.run('backup', '--json');
    expectOnlyLocal(result, { errorCode: 'CredentialsInvalid', error: /access key or its secret/ });
    expect(result.stdout + result.stderr).not.toContain('not-the-secret');
    await expectOnlyWhole(local);
  });

  test('a user without rights on the bucket', async () => {
    const bucket = 'of-somebody-else';
    await s3.createBucket(bucket);
    const { host, local } = await newHost({ bucket, keys: await s3.createUser('stranger') });
    expectOnlyLocal(await host.run('backup', '--json'), {
      errorCode: 'AccessDenied',
      error: /Grant s3:\w+ on arn:aws:s3/,
    });
    await expectOnlyWhole(local);
    expect((await rawBucket(client, bucket).names()).size).toBe(0);
  });
});

describe('a line that goes dead in the middle', () => {
  test('the copy is dropped after the stall limit; what it left is cleared once the line is back', async () => {
    const line = await startTcpProxy({ to: { host: '127.0.0.1', port: Number(new URL(s3.endpoint).port) } });
    try {
      await line.set({ toServer: { bytesPerSecond: 2_000_000 } });
      const { host, local, s3: bucket } = await newHost({ endpoint: `http://${line.host}:${line.port}` });
      const agent = host.start('backup', '--json');
      await during(agent, 'the upload', async () => (await bucket.unfinished()).length > 0);
      await line.set({ blackHole: true });
      const result = await agent.result;
      expectOnlyLocal(result, { errorCode: 'StorageUnreachable', error: /did not answer, or not to the end/ });
      await expectOnlyWhole(bucket);
      expect(await bucket.unfinished()).toHaveLength(1);
      // With what it still holds: otherwise the request to abort would arrive after all.
      line.cut();
      await line.set({});
      await host.json('backup');
      await expectNothingLeft(cluster, [local, bucket]);
      await expectTrueOutcomes(host, cluster, [local, bucket]);
    } finally {
      await line.stop();
    }
  });

  test('Ctrl-C does not wait for it: 130, and the copy that was whole is kept', async () => {
    const { host, proxy, local, s3: bucket } = await newHost();
    proxy.add({ ...parts, fault: 'stall' });
    const agent = host.start('backup', '--json');
    await during(agent, 'the manifest in the directory', async () => {
      return [...(await local.names()).keys()].some((name) => /^app_.*\.manifest\.json$/.test(name));
    });
    agent.process.kill('SIGINT');
    const { code, stdout } = await agent.result;
    expect({ code, ...(JSON.parse(stdout) as Copies) }).toMatchObject({
      code: 130,
      copies: [{ state: 'stored' }, { state: 'failed', errorCode: 'Interrupted' }],
    });
    await expectNothingLeft(cluster, [local, bucket]);
    expect(journalOf(host).at(-1)).toMatchObject({ state: 'succeeded' });
    await expectTrueOutcomes(host, cluster, [local, bucket]);
  });
});

test('a backup to S3 alone writes nothing to disk but its journal', async () => {
  const { host, s3: bucket } = await newHost({ stores: ['s3'] });
  const empty = join(host.directory, 'empty');
  mkdirSync(empty);
  const before = readdirSync(host.directory).toSorted();
  const agent = spawn(process.execPath, [agentProgram, 'backup', '--config', host.configurationFile], {
    cwd: empty,
    env: { PATH: process.env['PATH'], HOME: empty, TMPDIR: empty },
    stdio: 'ignore',
  });
  const exited = once(agent, 'exit');
  const written = new Set<string>();
  let looks = 0;
  await waitFor('the end of the backup', () => {
    const pids = [agent.pid ?? 0, ...childrenOf(agent.pid ?? 0).map(({ pid }) => pid)];
    for (const pid of pids) for (const file of openForWriting(pid)) written.add(file);
    looks += 1;
    return agent.exitCode !== null;
  });
  expect(await exited).toEqual([0, null]);
  expect(looks).toBeGreaterThan(20);
  expect([...written].filter((file) => !file.startsWith(host.stateDirectory))).toEqual([]);
  expect(readdirSync(empty)).toEqual([]);
  expect(readdirSync(host.directory).toSorted()).toEqual([...before, 'state'].toSorted());
  expect((await expectOnlyWhole(bucket)).size).toBe(1);
});

/** Regular files that a process may write to just now (proc(5), fdinfo: the access mode is in the last octal digit). */
function openForWriting(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      const file = readlinkSync(`/proc/${pid}/fd/${fd}`);
      const flags = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))?.[1] ?? '0';
      const mayWrite = (Number.parseInt(flags, 8) & 3) !== 0;
      return mayWrite && file.startsWith('/') && !file.startsWith('/dev/') ? [file] : [];
    });
  } catch {
    // The process or the file went away between two looks.
    return [];
  }
}
