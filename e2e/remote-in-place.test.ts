import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AgentHost, type RunningAgent } from './agent-host.ts';
import { CliUser } from './cli-user.ts';
import { ControlPlaneServer, type Run } from './control-plane-server.ts';
import { databasesOf } from './raw-state.ts';

/** What is asked for from afar and is more than a new database: in place, some tables, a drill. */

let cluster: PostgresCluster;
let server: ControlPlaneServer;
let directory: string;
let host: AgentHost;
let daemon: RunningAgent;
let ids: { agentId: string; databaseId: string };

beforeAll(async () => {
  cluster = await startPostgres();
  server = new ControlPlaneServer();
  await server.start();
}, 120_000);
afterAll(async () => {
  await server?.remove();
  await cluster?.stop();
});

const file = (name: string) => join(directory, name);
const marked = () => (existsSync(file('marks')) ? readFileSync(file('marks'), 'utf8').trim().split('\n') : []);
/** Writes down that it was run, and waits as long as a file says so. */
const hook = (name: string) => [
  'sh',
  '-c',
  `echo ${name} $STRIDEIQ_OUTCOME >> '${file('marks')}'; while [ -e '${file(name)}.waits' ]; do sleep 0.05; done`,
];

let count = 0;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-marks-'));
  await cluster.createDatabase('app');
  await cluster.query(
    'app',
    'CREATE TABLE generation AS SELECT 1 AS n; CREATE TABLE ledger AS SELECT n FROM generate_series(1, 1000) AS n',
  );
  count += 1;
  host = new AgentHost({
    cluster,
    database: 'app',
    environment: `production-${count}`,
    controlPlane: server.url,
    allow: ['backup', 'drill', 'restoreTables', 'restoreInPlace', 'cancel'],
    hooks: { beforeSwap: hook('beforeSwap'), afterSwap: hook('afterSwap') },
  });
  daemon = await server.enrol(host);
  ids = await server.connected(host);
  await server.ended(await server.ask('/backups', { databaseId: ids.databaseId }));
  await cluster.query('app', 'UPDATE generation SET n = 2');
});
afterEach(async () => {
  daemon.process.kill('SIGTERM');
  await daemon.result;
  host.remove();
  rmSync(directory, { recursive: true, force: true });
  for (const name of await databasesOf(cluster)) {
    if (/^(app|part|strideiq_)/.test(name)) await cluster.dropDatabase(name);
  }
});

const generation = async () => (await cluster.query<{ n: number }>('app', 'SELECT n FROM generation'))[0]?.n;
const askInPlace = async () =>
  server.ask('/restores', {
    databaseId: ids.databaseId,
    latest: true,
    target: { agentId: ids.agentId, mode: 'inPlace', database: 'app' },
    confirm: 'app',
  });
const inPlace = async () => server.ended(await askInPlace());
const names = async () => (await databasesOf(cluster)).filter((name) => /^(app_|strideiq_)/.test(name));

describe('in place', () => {
  test('tells what became of the replaced one, and asked for again it does not take the safety backup for the latest', async () => {
    const first = await inPlace();
    expect(first).toMatchObject({ state: 'succeeded', restore: { into: 'app', undoneAs: null } });
    const { keptAs, safetyBackupId } = (first as unknown as { restore: Record<string, string> }).restore;
    expect([await generation(), await names()]).toEqual([1, [keptAs]]);
    const { items } = await server.get<{ items: { id: string }[] }>(`/backups?databaseId=${ids.databaseId}`);
    expect(items[0]?.id).toBe(safetyBackupId);
    expect(marked()).toEqual(['beforeSwap', 'afterSwap replaced']);

    await cluster.query('app', 'UPDATE generation SET n = 3');
    const second = await inPlace();
    expect([second.state, second['backupId'], await generation()]).toEqual(['succeeded', first['backupId'], 1]);
    const user = new CliUser();
    try {
      await user.json('login', '--url', server.url, '--key-file', `${server.dataDirectory}/admin.key`);
      expect((await user.run(['runs', first.id])).stdout).toContain(`kept as   ${keptAs}`);
    } finally {
      user.remove();
    }
  });

  test('is cancelled while the application is stopped, which is then started again', async () => {
    writeFileSync(file('beforeSwap.waits'), '');
    const runId = await askInPlace();
    await waitFor('the hook', () => marked().includes('beforeSwap'), { timeoutMs: 60_000 });
    await server.request('POST', `/runs/${runId}/cancel`, { body: {} });
    const run = await server.ended(runId);
    expect([run.state, await generation(), await names()]).toEqual(['cancelled', 2, []]);
    expect(marked()).toEqual(['beforeSwap', 'afterSwap kept']);
  });

  test('with its daemon killed while the application is stopped it is taken back by the next one', async () => {
    writeFileSync(file('beforeSwap.waits'), '');
    const runId = await askInPlace();
    await waitFor('the hook', () => marked().includes('beforeSwap'), { timeoutMs: 60_000 });
    daemon.process.kill('SIGKILL');
    await daemon.result;
    daemon = host.start('run');
    const run = await server.ended(runId);
    expect([run.state, await generation(), await names()]).toEqual(['failed', 2, []]);
    expect(marked()).toEqual(['beforeSwap', 'afterSwap kept']);
  });
});

test('some tables alone, into a new database', async () => {
  const target = { agentId: ids.agentId, mode: 'tables', database: 'part', tables: ['public.ledger'] };
  const run = await server.ended(await server.ask('/restores', { databaseId: ids.databaseId, latest: true, target }));
  expect(run.state).toBe('succeeded');
  const rows = async (table: string) => (await cluster.query('part', `SELECT FROM ${table}`)).length;
  expect([await rows('ledger'), await rows('generation')]).toEqual([1000, 0]);
});

test('a drill is the proof that the database shows', async () => {
  const run: Run = await server.ended(await server.ask('/drills', { databaseId: ids.databaseId }));
  expect(run).toMatchObject({ kind: 'drill', state: 'succeeded', drill: { rows: 1001, countsAsRto: true } });
  expect(await server.get(`/databases/${ids.databaseId}`)).toMatchObject({ lastDrill: { runId: run.id } });
  expect(await names()).toEqual([]);
});
