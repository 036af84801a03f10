import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ruleNames } from '@strideiq/core';
import { openS3Store } from '@strideiq/storage';
import {
  startHttpFaultProxy,
  startPostgres,
  waitFor,
  type HttpFaultProxy,
  type PostgresCluster,
} from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentHost } from './agent-host.ts';
import { AlertsStage, dayMs, hourMs, minuteMs, Receiver } from './alerts-stage.ts';
import { ownS3 } from './own-s3.ts';
import { PgDumpWrapper } from './pg-dump-wrapper.ts';

/** Each rule is made to open and to resolve by what it is about, happening to the shipped programs; see also alerts.test.ts. */

const s3 = ownS3('rules');
const stage = new AlertsStage();
const ops = new Receiver();
/** A directory on a tmpfs. */
const shm = mkdtempSync('/dev/shm/strideiq-');
const otherClock = stage.otherClock();
let cluster: PostgresCluster;
let away: PostgresCluster;
let proxy: HttpFaultProxy;
let host: AgentHost;
let elsewhere: AgentHost;
let slowly: PgDumpWrapper;
const keepsAll = { retention: { local: { days: 60 } } };
const ids = new Map<string, string>();
const idOf = (name: string) => ids.get(name) ?? expect.unreachable();

const newestDump = () =>
  host
    .files()
    .filter((name) => /^app_\d+_\d+\.sql\.gz$/.test(name))
    .at(-1) ?? expect.unreachable();

/** What is to be written to the tmpfs for it to have less room than the threshold. */
const filler = Math.floor(Math.min(200_000_000, freeOnShm() * 0.6));
function freeOnShm(): number {
  const { bavail, bsize } = statfsSync(shm);
  return bavail * bsize;
}

/** Is held up where it is restored, and nowhere else. */
const heldUp = (seconds: number) => `
  CREATE TABLE t AS SELECT 1 AS n;
  CREATE FUNCTION slow(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
      IF current_database() LIKE 'strideiq%' THEN PERFORM pg_sleep(${seconds}); END IF;
      RETURN n;
    END $$;
  CREATE INDEX ON t (slow(n));`;

beforeAll(async () => {
  [cluster, away, proxy] = await Promise.all([
    startPostgres(),
    startPostgres(),
    startHttpFaultProxy({ to: s3().endpoint }),
  ]);
  for (const name of ['app', 'small', 'late', 'slow', 'drilled', 'full', 'gone', 'old']) {
    await cluster.createDatabase(name);
    if (name === 'late') await cluster.query(name, heldUp(3000));
    else if (name === 'drilled') await cluster.query(name, heldUp(2));
    else await cluster.query(name, 'CREATE TABLE t AS SELECT md5(n::text) AS n FROM generate_series(1, 2000) AS n');
  }
  await away.createDatabase('moved');
  slowly = new PgDumpWrapper(cluster, 'slow');
  await ops.start();
  await stage.start({ ops: { type: 'webhook', url: ops.url, severity: 'info' } });
  const on = ({ host: address, port, user, clientDir }: PostgresCluster, database: string, more: object = {}) => ({
    connection: { host: address, port, user, database },
    stores: ['many'],
    dump: { pgDump: clientDir },
    // What is nowhere but on its host, and how full this machine is, are not what is looked at.
    objectives: { infrastructureFailure: { rpo: 'none' } },
    alerts: { diskFree: '1MB' },
    ...more,
  });
  host = new AgentHost({
    cluster,
    database: 'app',
    controlPlane: stage.server.url,
    env: stage.clock.env,
    s3: { server: s3(), endpoint: proxy.endpoint, bucket: 'rules' },
    dump: { stallLimit: '1s' },
    more: { ...keepsAll, alerts: { diskFree: '1MB' } },
    moreStores: {
      many: { type: 'directory', path: join(stage.server.directory, 'many/{database}') },
      shm: { type: 'directory', path: shm },
    },
    moreDatabases: {
      small: on(cluster, 'small'),
      late: on(cluster, 'late', { schedule: '0 * * * *' }),
      slow: on(cluster, 'slow', { dump: { pgDump: slowly.directory } }),
      drilled: on(cluster, 'drilled', {
        drill: { schedule: '0 4 * * 1', assertions: [{ name: 'no row is wrong', sql: 'SELECT n < 100 FROM t' }] },
      }),
      full: on(cluster, 'full', {
        stores: ['shm'],
        alerts: { diskFree: `${Math.floor((freeOnShm() - filler / 2) / 1000)}kB` },
      }),
      gone: on(cluster, 'gone'),
      moved: on(away, 'moved'),
      old: on(cluster, 'old', { dump: { pgDump: join(stage.server.directory, 'pg_dump-14') } }),
    },
  });
  elsewhere = new AgentHost({
    cluster: away,
    database: 'moved',
    name: 'elsewhere',
    controlPlane: stage.server.url,
    env: otherClock.clock.env,
    more: { objectives: { infrastructureFailure: { rpo: 'none' } }, alerts: { diskFree: '1MB' } },
  });
  mkdirSync(join(stage.server.directory, 'pg_dump-14'));
  pgDumpIs('echo "pg_dump (PostgreSQL) 14.0"');
  await stage.enrol(host);
  await stage.enrol(elsewhere);
  const { items } = await stage.server.get<{ items: { id: string; name: string }[] }>('/databases?limit=200');
  for (const { id, name } of items) ids.set(name, id);
}, 240_000);
afterAll(async () => {
  await stage.stop();
  ops.stop();
  slowly?.remove();
  rmSync(shm, { recursive: true, force: true });
  await proxy?.stop();
  await Promise.all([cluster?.stop(), away?.stop()]);
});

function pgDumpIs(line: string): void {
  for (const tool of ['pg_dump', 'pg_dumpall']) {
    const file = join(stage.server.directory, 'pg_dump-14', tool);
    writeFileSync(file, `#!/bin/sh\n${line}\n`);
    chmodSync(file, 0o755);
  }
}

async function backUp(name: string, times = 1): Promise<void> {
  for (let nth = 0; nth < times; nth++) await stage.backUp(idOf(name));
}

async function setPolicy(name: string, said: { objectives?: object; [key: string]: unknown }): Promise<void> {
  const infrastructureFailure = name === 'app' ? {} : { rpoMs: null };
  const policy = {
    ...said,
    objectives: { infrastructureFailure, ...said.objectives },
    alerts: { diskFreeBytes: 1_000_000 },
  };
  const answer = await stage.server.request('POST', `/databases/${idOf(name)}/policy`, { body: { policy } });
  expect([answer.status, answer.body]).toEqual([200, expect.anything()]);
}

test('a server, a disk, a store, a program, a clock, a key, a channel and what is in a store', async () => {
  await backUp('small', 4);
  for (const name of ['app', 'gone', 'full']) await backUp(name);
  const rules = [
    'serverAway',
    'backupFailed',
    'diskLow',
    'storeAway',
    'pgDumpOld',
    'clockOff',
    'keyExpires',
    'channelFailed',
    'drift',
    'rpoAtRisk',
    'backupSmall',
  ];

  await away.kill();
  await stage.backUp(idOf('moved'), 'failed');
  writeFileSync(join(shm, 'filler'), Buffer.alloc(filler));
  renameSync(join(stage.server.directory, 'many/gone'), join(stage.server.directory, 'unmounted'));
  otherClock.setOff(5 * minuteMs);
  const expiresAt = new Date(stage.now + 10 * dayMs).toISOString();
  const { body: key } = await stage.server.request('POST', '/keys', {
    body: { name: 'ci', role: 'viewer', environments: null, expiresAt },
  });
  expect(key).toMatchObject({ name: 'ci' });
  ops.status = 500;
  writeFileSync(host.path('notes.txt'), 'mine');
  await setPolicy('small', { schedule: '0 3 * * 0' });
  await cluster.query('small', 'DELETE FROM t WHERE ctid >= $$(1,1)$$');
  await backUp('small');
  stage.pass(61 * minuteMs);
  await stage.until('opened', ...rules);
  const textsOf = (rule: string) =>
    stage.team.messages.flatMap((message) => (message.rule === rule ? message.alerts.map(({ text }) => text) : []));
  expect(textsOf('diskLow')[0]).toMatch(/^shm has .* left, and the least is /);
  expect(textsOf('pgDumpOld')[0]).toMatch(/14\.0/);
  expect(textsOf('clockOff')[0]).toMatch(/5 min 00 s ahead/);

  await away.start();
  await backUp('moved');
  rmSync(join(shm, 'filler'));
  renameSync(join(stage.server.directory, 'unmounted'), join(stage.server.directory, 'many/gone'));
  pgDumpIs(`exec "${cluster.clientDir}/$(basename "$0")" "$@"`);
  otherClock.setOff(0);
  await stage.server.request('POST', `/keys/${String(key['id'])}/revoke`);
  ops.status = 200;
  rmSync(host.path('notes.txt'));
  await setPolicy('small', {});
  await cluster.query('small', 'INSERT INTO t SELECT md5(n::text) FROM generate_series(1, 2000) AS n');
  await backUp('small');
  stage.pass(61 * minuteMs);
  await stage.until('resolved', ...rules);
}, 900_000);

test('runs that stand still, and what waits for them', async () => {
  await backUp('slow', 3);
  await backUp('late');
  slowly.between('SELECT pg_sleep(3000)');
  const slow = await stage.server.ask('/backups', { databaseId: idOf('slow') });
  const drill = await stage.server.ask('/drills', { databaseId: idOf('late') });
  for (const sql of ['SELECT pg_sleep(3000)', '%(slow(n))%']) {
    const hangs = `SELECT FROM pg_stat_activity WHERE query LIKE '${sql}' AND state = 'active'`;
    await waitFor(sql, async () => (await cluster.query('postgres', hangs)).length > 0, { timeoutMs: 60_000 });
  }
  await stage.until('opened', 'runLong', 'runStuck', 'scheduleMissed');
  expect(stage.team.messages.filter(({ rule }) => rule === 'scheduleMissed').map(({ title }) => title)).toEqual([
    expect.stringContaining('late'),
  ]);

  await cluster.query('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%3000)'");
  await stage.server.request('POST', `/runs/${drill}/cancel`);
  expect((await stage.server.ended(slow)).state).toBe('succeeded');
  await stage.until('resolved', 'runLong', 'runStuck', 'scheduleMissed');
}, 900_000);

test('drills that fail, and restores that take too long', async () => {
  const drill = async () => stage.server.ended(await stage.server.ask('/drills', { databaseId: idOf('drilled') }));
  await cluster.query('drilled', 'UPDATE t SET n = 100');
  await backUp('drilled');
  expect((await drill()).state).toBe('failed');
  await stage.until('opened', 'drillFailed');

  await cluster.query('drilled', 'UPDATE t SET n = 1');
  await backUp('drilled');
  const { restoreMs } = (await drill())['drill'] as { restoreMs: number };
  expect(restoreMs).toBeGreaterThan(2000);
  const objective = async (rtoMs: number) =>
    setPolicy('drilled', { drill: { schedule: '0 4 * * 1' }, objectives: { databaseCorruption: { rtoMs } } });
  await objective(Math.round(restoreMs * 0.9));
  await stage.until('resolved', 'drillFailed');
  await stage.until('opened', 'rtoBroken');
  await objective(Math.round(restoreMs * 1.1));
  await stage.until('resolved', 'rtoBroken');
  await stage.until('opened', 'rtoAtRisk');
  await objective(restoreMs * 10);
  await stage.until('resolved', 'rtoAtRisk');
}, 900_000);

test('a copy that is damaged, and a bucket that gets nothing', async () => {
  await backUp('app');
  proxy.add({ fault: 'reset' });
  const [newest = ''] = host
    .files()
    .filter((name) => /^app_\d+_\d+\.sql\.gz$/.test(name))
    .toReversed();
  const bytes = readFileSync(host.path(newest));
  bytes[bytes.length - 20] = ~(bytes[bytes.length - 20] ?? 0);
  writeFileSync(host.path(newest), bytes);
  expect((await host.run('verify', newest, '--store', 'local')).code).toBe(1);
  await stage.until('opened', 'verifyFailed');

  stage.pass(20 * hourMs);
  await backUp('app');
  stage.pass(6 * hourMs);
  await stage.until('opened', 'rpoBroken', 'copyFailed');
  proxy.clear();
  await stage.until('resolved', 'verifyFailed', 'copyFailed');
  // The server's clock is this machine's, so that what it tells of its data grows no younger.
  await setPolicy('app', { ...keepsAll, objectives: { infrastructureFailure: { rpoMs: 90 * dayMs } } });
  await stage.until('resolved', 'rpoBroken');
}, 900_000);

test('a copy that somebody deletes from a bucket is made again', async () => {
  await backUp('app');
  const store = await openS3Store({
    bucket: 'rules',
    prefix: 'backups/',
    endpoint: s3().endpoint,
    credentials: { accessKeyId: s3().accessKey, secretAccessKey: s3().secretKey },
  });
  try {
    await store.delete(newestDump());
    stage.pass(61 * minuteMs);
    await waitFor('it to be there again', async () => store.head(newestDump()), { timeoutMs: 180_000 });
    const state = 'SELECT state FROM copies JOIN stores ON stores.id = store_id WHERE key = ? AND type = ?';
    const known = () => stage.server.rows<{ state: string }>(state, newestDump(), 's3');
    await expect.poll(known, { timeout: 30_000 }).toEqual([{ state: 'stored' }]);
  } finally {
    store.close();
  }
}, 400_000);

test('weeks in which nothing is read back or drilled, and then too much to remove at once', async () => {
  await backUp('app', 4);
  await stage.kill(host);
  stage.pass(16 * dayMs);
  await stage.until('opened', 'agentAway', 'noBackup', 'verifyOverdue', 'drillOverdue');

  await stage.startAgain(host);
  for (const name of ids.keys()) if (name !== 'old') await backUp(name);
  pgDumpIs(`exec "${cluster.clientDir}/$(basename "$0")" "$@"`);
  await backUp('old');
  const [newest = ''] = host
    .files()
    .filter((name) => /^app_\d+_\d+\.sql\.gz$/.test(name))
    .toReversed();
  expect((await host.run('verify', newest)).code).toBe(0);
  await stage.server.ended(await stage.server.ask('/drills', { databaseId: idOf('drilled') }));
  await stage.until('resolved', 'agentAway', 'noBackup', 'verifyOverdue', 'drillOverdue');

  await setPolicy('app', { retention: { local: { count: 1 } } });
  stage.pass(11 * minuteMs);
  await stage.until('opened', 'retentionWaits');
  await setPolicy('app', keepsAll);
  stage.pass(11 * minuteMs);
  await stage.until('resolved', 'retentionWaits');
}, 900_000);

test('with what alerts.test.ts sees, that is every rule', () => {
  const told = stage.team.messages.flatMap(({ rule }) => rule ?? []);
  const there = ['rowsLost', 'schemaChanged', 'certificateExpires'];
  expect([...new Set([...told, ...there])].toSorted()).toEqual(ruleNames.toSorted());
});
