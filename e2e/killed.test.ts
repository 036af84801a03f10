import { setTimeout as delay } from 'node:timers/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { createSampleDatabase, startPostgres, startS3, startTcpProxy, waitFor } from '@strideiq/testkit';
import type { PostgresCluster, S3Server, TcpProxy } from '@strideiq/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentHost, during, type RunningAgent } from './agent-host.ts';
import { dumpUnderWay, signal } from './processes.ts';
import {
  databasesOf,
  expectNothingLeft,
  expectOnlyWhole,
  expectTrueOutcomes,
  journalOf,
  rawBucket,
  rawDirectory,
  type RawStore,
} from './raw-state.ts';
import { long, randomFrom, seed } from './seeded-random.ts';

/**
 * SIGKILL at random moments and at the worst ones. After each: nothing under a final name that is not whole. Once the
 * agent was there again: nothing left, and a journal that tells the truth.
 */

let cluster: PostgresCluster;
let s3: S3Server;
let client: S3Client;
let proxy: TcpProxy;
let host: AgentHost;
let stores: RawStore[];
/** How long a backup and a restore take when nothing happens. */
let usualMs: { backup: number; restore: number };

/** So that S3 takes longer than the directory, and is seen in the middle. */
const slow = { toServer: { bytesPerSecond: 8_000_000 } };

beforeAll(async () => {
  [cluster, s3] = await Promise.all([startPostgres(), startS3()]);
  await Promise.all([createSampleDatabase(cluster, 'app', { scaleMb: 26 }), s3.createBucket('killed')]);
  proxy = await startTcpProxy({ to: { host: '127.0.0.1', port: Number(new URL(s3.endpoint).port) } });
  await proxy.set(slow);
  client = s3.client();
  host = new AgentHost({
    cluster,
    database: 'app',
    s3: { server: s3, endpoint: `http://${proxy.host}:${proxy.port}`, bucket: 'killed' },
    // A killed connection must not take a minute to be told from a slow one.
    dump: { stallLimit: '3s', compressionLevel: 1 },
  });
  stores = [rawDirectory(host.backupDirectory), rawBucket(client, 'killed')];
  await host.json('backup');
  usualMs = {
    backup: await timed(async () => host.json('backup')),
    restore: await timed(async () => host.json('restore', 'latest', '--into', 'app_measured')),
  };
}, 240_000);

afterAll(async () => {
  client?.destroy();
  host?.remove();
  await proxy?.stop();
  await Promise.all([cluster?.stop(), s3?.stop()]);
});

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

async function killed({ process, result }: RunningAgent): Promise<void> {
  process.kill('SIGKILL');
  await result;
}

/** The kernel and the proxy still send what a dead process had handed to them: that is a client that died a bit later. */
async function lineIsQuiet(): Promise<void> {
  await waitFor('the proxy without connections', () => proxy.connections === 0);
}

async function expectWholeStores(): Promise<void> {
  for (const store of stores) await expectOnlyWhole(store);
}

/** The agent is started once more; then everything must be in order, also what that start itself made. */
async function expectRecovery(): Promise<void> {
  await proxy.set({});
  await host.json('backup');
  await proxy.set(slow);
  await expectNothingLeft(cluster, stores);
  const runs = await expectTrueOutcomes(host, cluster, stores);
  expect(runs.at(-1)).toMatchObject({ kind: 'backup', state: 'succeeded' });
}

describe(`killed at random, seed ${seed}`, () => {
  const random = randomFrom(seed);
  const kinds = ['agent in backup', 'pg_dump', 's3 cut', 'agent in restore', 's3 gone', 'agent in backup'] as const;
  const rounds = Array.from({ length: long ? 50 : kinds.length }, (_, at) => {
    return { at, kind: kinds[at % kinds.length] ?? kinds[0], share: random() };
  });

  test.each(rounds)('round $at: $kind at $share of its time', async ({ at, kind, share }) => {
    const into = `restored_${at}`;
    const isRestore = kind === 'agent in restore';
    const usual = isRestore ? usualMs.restore : usualMs.backup;
    const start = (attempt: number) =>
      isRestore ? host.start('restore', 'latest', '--into', `${into}_${attempt}`) : host.start('backup');
    // A run that was quicker than usual is over before its moment: that proves nothing, and is drawn earlier.
    let agent = start(0);
    for (let attempt = 1; !(await strike(kind, share * 0.6 ** (attempt - 1), agent, usual)); attempt++) {
      await agent.result;
      agent = start(attempt);
    }
    const { code, signal: endedBy } = await agent.result;
    expect({ code, endedBy }).toMatchObject(endOf(kind));
    await lineIsQuiet();
    await expectWholeStores();
    await expectRecovery();
  });
});

/** Only what was hit proves anything: an agent that was killed did not exit, and a backup without its pg_dump failed. */
function endOf(kind: string): object {
  if (kind === 'pg_dump') return { code: 1 };
  return kind.startsWith('s3') ? { endedBy: undefined } : { code: undefined, endedBy: 'SIGKILL' };
}

/**
 * Kills at a moment that is drawn, within the time that its victim lives. The moment is the random thing here, no
 * condition: whatever the agent does just then must be harmless.
 * @returns false where the run was over before
 */
async function strike(kind: string, share: number, { process }: RunningAgent, usual: number): Promise<boolean> {
  if (kind === 'pg_dump') {
    signal(await dumpUnderWay(process, Math.floor(share * 20_000_000)), 'SIGKILL');
    return true;
  }
  await delay(share * 0.9 * usual);
  const isOver = () => process.exitCode !== null;
  if (!kind.startsWith('agent')) await waitFor('a connection to S3 to cut', () => proxy.connections > 0 || isOver());
  if (isOver()) return false;
  if (kind.startsWith('agent')) process.kill('SIGKILL');
  else {
    if (kind === 's3 gone') await proxy.set({ refuse: true });
    proxy.cut();
  }
  return true;
}

describe('killed at the worst moment', () => {
  /** Names that appear during a backup, one after another, in the directory store. */
  async function appeared(ending: string, store: RawStore, before: ReadonlySet<string>): Promise<string> {
    return await waitFor(
      `a new *${ending} in ${store.name}`,
      async () => [...(await store.names()).keys()].find((name) => !before.has(name) && name.endsWith(ending)),
      { everyMs: 1, timeoutMs: 60_000 },
    );
  }

  const [local, bucket] = [() => stores[0] as RawStore, () => stores[1] as RawStore];

  test.each([
    { moment: 'when the dump has its name in the directory, before its manifest', store: local, ending: '0.sql.gz' },
    { moment: 'when the directory has its manifest, before S3 has', store: local, ending: '.manifest.json' },
    { moment: 'when the dump has its name in S3', store: bucket, ending: '.sql.gz' },
    { moment: 'when S3 has its manifest', store: bucket, ending: '.manifest.json' },
  ])('$moment', async ({ store, ending }) => {
    const before = new Set((await store().names()).keys());
    const agent = host.start('backup');
    const name = await appeared(ending === '0.sql.gz' ? '.sql.gz' : ending, store(), before);
    await killed(agent);
    await lineIsQuiet();
    await expectWholeStores();
    await expectRecovery();
    // What had got there whole was finished, not thrown away.
    const run = journalOf(host).at(-2);
    expect(run).toMatchObject({ kind: 'backup', state: 'succeeded' });
    expect(run?.detail.copies?.find((copy) => copy.store === store().name)).toMatchObject({ state: 'stored' });
    expect(name).toContain('app_');
  });

  test('when a restored database has just got its name: the restore succeeded, and the journal says so', async () => {
    const agent = host.start('restore', 'latest', '--into', 'just_named');
    await during(agent, 'the database', async () => (await databasesOf(cluster)).includes('just_named'), {
      everyMs: 1,
    });
    await killed(agent);
    await expectRecovery();
    expect(journalOf(host).at(-2)).toMatchObject({ kind: 'restore', state: 'succeeded' });
  });

  test('while the scratch database is being made', async () => {
    const agent = host.start('restore', 'latest', '--into', 'never_named');
    await during(
      agent,
      'the session that creates it',
      async () => {
        const sql = `SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE "strideiq_restore_%' AND state = 'active'`;
        return (await cluster.query('postgres', sql)).length > 0;
      },
      { everyMs: 1 },
    );
    await killed(agent);
    await expectRecovery();
    expect(journalOf(host).at(-2)).toMatchObject({ kind: 'restore', state: 'failed', error_code: 'AgentDied' });
  });

  test('and S3 is out of reach at the next start: the run stays open until it can be told, the rest goes on', async () => {
    const agent = host.start('backup');
    await during(agent, 'the upload', async () => (await bucket().unfinished()).length > 0, {
      everyMs: 2,
    });
    await killed(agent);
    await lineIsQuiet();
    const killedRun = journalOf(host).at(-1)?.id;
    await proxy.set({ refuse: true });
    const without = await host.run('backup', '--store', 'local');
    expect(without).toMatchObject({ code: 0, stderr: expect.stringContaining('could not be cleared yet') as string });
    expect(await local().unfinished()).toEqual([]);
    expect(journalOf(host).find(({ id }) => id === killedRun)).toMatchObject({ state: 'running' });
    await expectRecovery();
    expect(journalOf(host).find(({ id }) => id === killedRun)).toMatchObject({ state: 'failed' });
  });
});
