import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { AgentHost, type RunningAgent } from './agent-host.ts';
import { ControlPlaneServer } from './control-plane-server.ts';

/** A host that looks after all databases of its server, as people use it. */

let cluster: PostgresCluster;
let host: AgentHost;
beforeAll(async () => {
  cluster = await startPostgres();
}, 120_000);
afterAll(async () => cluster?.stop());

function hostOf(server: PostgresCluster, path: string, more: object = {}): AgentHost {
  return new AgentHost({
    cluster: server,
    name: 'main',
    database: 'postgres',
    stores: ['each'],
    moreStores: { each: { type: 'directory', path } },
    more: { include: 'all', exclude: ['postgres', 'test_*'] },
    ...more,
  });
}

const here = 'backups/{database}';
const names = ['app', 'web', 'test_1'];
beforeEach(async () => {
  for (const name of names) {
    await cluster.createDatabase(name);
    await cluster.query(name, 'CREATE TABLE t AS SELECT n FROM generate_series(1, 10) AS n');
  }
  host = hostOf(cluster, here);
});
afterEach(async () => {
  host.remove();
  for (const name of [...names, 'my app', 'late']) await cluster.dropDatabase(name);
});

const dumpsOf = (name: string) => {
  const directory = join(host.backupDirectory, name);
  return existsSync(directory) ? readdirSync(directory).filter((each) => /_\d{6}\.sql\.gz$/.test(each)) : [];
};

test('each is backed up by its name, or all at once; one that fails holds up none of the others', async () => {
  const unnamed = await host.run('backup');
  expect([unnamed.code, unnamed.stderr]).toEqual([
    2,
    expect.stringContaining('holds: app, web. Name one of them, or say --all.'),
  ]);
  expect(await host.json('backup', 'web')).toMatchObject({ database: 'web', rows: 10 });
  expect((await host.run('backup', 'test_1')).code).toBe(2);
  expect((await host.run('backup', 'app', '--all')).code).toBe(2);

  const all = await host.run('backup', '--all', '--json');
  expect(all.code).toBe(0);
  const said = all.stdout.trimEnd().split('\n');
  expect(said.map((line) => (JSON.parse(line) as { database: string }).database)).toEqual(['app', 'web']);
  expect([dumpsOf('app').length, dumpsOf('web').length, dumpsOf('test_1').length]).toEqual([1, 2, 0]);

  rmSync(join(host.backupDirectory, 'app'), { recursive: true });
  writeFileSync(join(host.backupDirectory, 'app'), 'no directory');
  const some = await host.run('backup', '--all', '--quiet');
  expect([some.code, some.stdout]).toEqual([1, '']);
  expect(some.stderr).toMatch(/^error: app: No store holds the backup/m);
  expect(dumpsOf('web')).toHaveLength(3);
}, 120_000);

test('a name that cannot be taken is told each time, with its cure, until it has an entry or is excluded', async () => {
  await cluster.createDatabase('my app');
  const doctor = await host.run('doctor');
  expect(doctor.code).toBe(1);
  expect(doctor.stdout).toMatch(/^ok +main: databases: .* holds 2 that are looked after: app, web$/m);
  expect(doctor.stdout).toMatch(
    /^FAIL +main: databases: "my app" is not backed up: .*\n +Give it an entry of its own/m,
  );
  expect(doctor.stdout).toMatch(/left out: .*template1 is a template; test_1 is excluded by "test_\*"/);
  const backup = await host.run('backup', 'app', '--quiet');
  expect([backup.code, backup.stderr]).toEqual([
    0,
    expect.stringMatching(/^warning: "my app" on .* is not backed up: /),
  ]);
  host.remove();
  const { host: address, port, user, clientDir } = cluster;
  const connection = { host: address, port, user, database: 'my app' };
  host = hostOf(cluster, here, {
    moreDatabases: { my_app: { connection, stores: ['each'], dump: { pgDump: clientDir } } },
  });
  expect((await host.run('doctor')).code).toBe(0);
  const all = await host.run('backup', '--all');
  expect(all.code).toBe(0);
  expect(all.stderr).not.toContain('warning');
  expect(dumpsOf('my_app')).toHaveLength(1);
}, 120_000);

test('one that was dropped is restored by its name, also on a new machine whose server is empty', async () => {
  await host.json('backup', 'web');
  const [dump = ''] = dumpsOf('web');
  await cluster.dropDatabase('web');
  expect((await host.run('doctor')).stdout).toMatch(/^warn +web: server: it is there no more/m);
  expect((await host.run('list')).stdout).toContain(dump.replace('.sql.gz', ''));
  await host.json('restore', 'latest', '--database', 'web', '--into', 'web');
  expect(await cluster.query('web', 'SELECT count(*)::int FROM t')).toEqual([{ count: 10 }]);
  expect((await host.run('doctor')).stdout).toContain('looked after: app, web');

  const empty = await startPostgres();
  const machine = hostOf(empty, join(host.backupDirectory, '{database}'));
  try {
    const nothing = await machine.run('list');
    expect([nothing.code, nothing.stderr]).toEqual([3, expect.stringContaining('`strideiq-agent list NAME`')]);
    expect((await machine.run('list', 'web')).stdout).toContain(dump.replace('.sql.gz', ''));
    // By the backup's own name, and by the database's.
    await machine.json('restore', dump.replace('.sql.gz', ''), '--into', 'again', '--trust-source');
    await machine.json('restore', 'latest', '--database', 'web', '--into', 'web', '--trust-source');
    expect(await empty.query('again', 'SELECT count(*)::int FROM t')).toEqual([{ count: 10 }]);
    expect((await machine.run('doctor')).stdout).toContain('looked after: again, web');
  } finally {
    machine.remove();
    await empty.stop();
  }
}, 120_000);

test('a new one is known to the control plane soon, and backed up when it is asked for', async () => {
  const server = new ControlPlaneServer();
  await server.start();
  let daemon: RunningAgent | undefined;
  host.remove();
  host = hostOf(cluster, here, { controlPlane: server.url });
  interface Listed {
    items: { id: string; name: string; declared: boolean }[];
  }
  const listed = async () => (await server.get<Listed>('/databases')).items;
  try {
    const made = await server.request('POST', '/enroll-tokens', { body: { environment: host.environment } });
    await host.json('enroll', '--url', server.url, '--token', made.body['token'] as string);
    daemon = host.start('run');
    await waitFor('app and web', async () => (await listed()).length === 2, { timeoutMs: 60_000, everyMs: 200 });
    await cluster.createDatabase('late');
    // Whoever finds it, the daemon tells of it.
    await host.run('list');
    const late = await waitFor('late', async () => (await listed()).find(({ name }) => name === 'late'), {
      everyMs: 200,
    });
    const runId = await server.ask('/backups', { databaseId: late.id });
    expect(await server.ended(runId)).toMatchObject({ state: 'succeeded' });
    expect(dumpsOf('late')).toHaveLength(1);
  } finally {
    daemon?.process.kill('SIGKILL');
    await daemon?.result;
    await server.remove();
  }
}, 120_000);
