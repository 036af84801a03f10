import { startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Host } from '../compose.ts';
import { examineServers } from '../doctor/examine-servers.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { problemsOf } from './watch-servers.ts';

let cluster: PostgresCluster;
let controlPlane: ScriptedControlPlane;
let agent: TestAgent;
/** What the agent's clock is ahead by. */
let aheadMs: number;
const now = () => Date.now() + aheadMs;

beforeAll(async () => {
  cluster = await startPostgres();
}, 120_000);
afterAll(async () => cluster?.stop());

beforeEach(async () => {
  aheadMs = 0;
  controlPlane = new ScriptedControlPlane();
  await controlPlane.start();
  await cluster.createDatabase('app');
});
afterEach(async () => {
  await agent.remove();
  await controlPlane.stop();
  const names = await cluster.query<{ name: string }>(
    'postgres',
    "SELECT datname AS name FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'",
  );
  for (const { name } of names) await cluster.dropDatabase(name);
});

function makeAgent(main: object = {}, databases: object = {}): TestAgent {
  const { host, port, user, clientDir } = cluster;
  const connection = { host, port, user };
  agent = new TestAgent({
    controlPlane,
    now,
    stores: { each: { type: 'directory', path: 'backups/{database}' } },
    databases: {
      main: {
        include: 'all',
        exclude: ['postgres'],
        connection,
        stores: ['each'],
        dump: { pgDump: clientDir },
        ...main,
      },
      ...databases,
    },
  });
  return agent;
}

async function withHost<T>(work: (host: Host) => Promise<T>): Promise<T> {
  const host = await agent.open();
  try {
    return await work(host);
  } finally {
    host.close();
  }
}

const known = (host: Host) => Object.keys(host.configuration.databases);
const look = async () => withHost(async (host) => host.discovery.look());

describe('the databases of a server', () => {
  test('are found, but for those that are left out', async () => {
    for (const name of ['web', 'test_1', 'my app', 'closed', 'app_before_20260111_030000']) {
      await cluster.createDatabase(name);
    }
    await cluster.query('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS false');
    const { host, port, user } = cluster;
    const own = { connection: { host, port, user, database: 'web' }, stores: ['local'] };
    makeAgent({ exclude: ['postgres', 'test_*'] }, { site: own });
    await withHost(async (opened) => {
      const [seen] = await opened.discovery.look();
      expect(seen?.seen).toMatchObject({ taken: ['app'], appeared: ['app'], gone: [] });
      expect(seen?.seen?.leftOut.map(({ name }) => name)).toEqual([
        'app_before_20260111_030000',
        'closed',
        'my app',
        'postgres',
        'template0',
        'template1',
        'test_1',
        'web',
      ]);
      expect(seen && problemsOf(seen)).toEqual([
        expect.stringMatching(/^"my app" on .* is not backed up: .*database: "my app"/),
      ]);
      expect(known(opened)).toEqual(['site', 'app']);
      expect(opened.configuration.databases['app']).toMatchObject({ name: 'app', connection: { database: 'app' } });
      expect((await opened.endpointOf(opened.configuration.databases['app'] as never)).database).toBe('app');
      const findings = await examineServers(opened);
      expect(findings.map(({ level }) => level)).toEqual(['ok', 'ok', 'fail']);
      expect(findings[1]?.text).toContain('web has an entry of its own, site');
      expect(findings[2]?.text).toContain('my app');
    });
    await cluster.query('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS true');
  });

  test('are known while the server is down, and one that is gone is so only where it was seen', async () => {
    await cluster.createDatabase('web');
    makeAgent();
    await look();
    await cluster.kill();
    try {
      await withHost(async (host) => {
        expect(known(host)).toEqual(['app', 'web']);
        const [seen] = await host.discovery.look();
        expect(seen?.error).toMatchObject({ code: 'ServerUnreachable' });
        expect(host.configuration.databases['web']).not.toHaveProperty('goneSince');
      });
    } finally {
      await cluster.start();
    }
    await cluster.dropDatabase('web');
    // Its port may be another one now.
    const file = JSON.parse(readFileSync(agent.file, 'utf8')) as {
      databases: { main: { connection: { port: number } } };
    };
    file.databases.main.connection.port = cluster.port;
    writeFileSync(agent.file, JSON.stringify(file));
    await withHost(async (host) => {
      const [seen] = await host.discovery.look();
      expect(seen?.seen).toMatchObject({ appeared: [], gone: ['web'] });
      expect(host.configuration.databases['web']?.goneSince).toBeGreaterThan(0);
      expect((await examineServers(host)).map(({ subject }) => subject)).toContain('web: server');
    });
    await cluster.createDatabase('web');
    await withHost(async (host) => {
      expect((await host.discovery.look())[0]?.seen).toMatchObject({ appeared: ['web'], gone: [] });
      expect(host.configuration.databases['web']).not.toHaveProperty('goneSince');
    });
  });

  test('what is excluded later is forgotten, also while the server is down', async () => {
    await cluster.createDatabase('web');
    makeAgent();
    await look();
    const file = readFileSync(agent.file, 'utf8');
    writeFileSync(agent.file, file.replace('"exclude":["postgres"]', '"exclude":["postgres","w*"]'));
    await withHost(async (host) => {
      expect(known(host)).toEqual(['app']);
      expect((await host.discovery.look())[0]?.seen?.gone).toEqual([]);
    });
    expect(agent.rows('SELECT name FROM found_databases')).toEqual([{ name: 'app' }]);
  });
});

describe('while the daemon runs', () => {
  const declared = () => controlPlane.hellos.at(-1)?.databases.map(({ name }) => name);

  test('a new database is declared, and backed up by the schedule; one that is dropped is not any more', async () => {
    makeAgent({ schedule: '* * * * *', verify: { afterBackup: false, schedule: 'never' } });
    await agent.start();
    await waitFor('the first hello', () => controlPlane.hellos.length > 0);
    expect(declared()).toEqual(['app']);
    await cluster.createDatabase('late');
    aheadMs += 301_000;
    await waitFor('late to be declared', () => declared()?.includes('late'));
    // On the same connection, so that nothing that is under way is cut.
    expect(controlPlane.connections).toHaveLength(1);
    aheadMs += 61_000;
    const ofLate = agent.databaseId('late');
    const backup = await waitFor(
      'the backup of late',
      () => controlPlane.told('run').find(({ databaseId, state }) => databaseId === ofLate && state === 'succeeded'),
      { timeoutMs: 60_000 },
    );
    expect(backup).toMatchObject({ kind: 'backup' });
    expect(readdirSync(join(agent.backups, 'late'))).toContain('LATEST.sql.gz');

    await cluster.dropDatabase('late');
    aheadMs += 301_000;
    await waitFor('late to be gone', () => agent.said.some((line) => line.includes('late is on')));
    await waitFor('that it is told', () => {
      const late = controlPlane.hellos.at(-1)?.databases.find(({ name }) => name === 'late');
      return late?.gone === true;
    });
    // What was due before it was seen to be gone was still made, and has failed.
    const [{ goneAt } = { goneAt: 0 }] = agent.rows(
      "SELECT gone_at AS goneAt FROM found_databases WHERE name = 'late'",
    ) as { goneAt: number }[];
    const madeSince = (database: string) =>
      agent.rows(
        `SELECT id FROM runs WHERE database = '${database}' AND finished_at > 0 AND detail ->> '$.dueAt' > ${goneAt}`,
      ).length;
    aheadMs += 61_000;
    await waitFor('the next backup of app', () => madeSince('app') > 0, { timeoutMs: 60_000, everyMs: 500 });
    expect(madeSince('late')).toBe(0);
    expect(agent.rows(`SELECT * FROM due_runs WHERE database_id = '${ofLate}'`)).toEqual([]);
    expect(readdirSync(join(agent.backups, 'late'))).toContain('LATEST.sql.gz');
  }, 120_000);

  test('what another process finds is declared before anything is reported of it', async () => {
    makeAgent();
    await agent.start();
    await waitFor('the first hello', () => controlPlane.hellos.length > 0);
    await cluster.createDatabase('late');
    const runId = await withHost(async (host) => {
      await host.discovery.look();
      const id = '0197f2a0-0000-7000-8000-0000000000bb';
      const { databaseId, environment } = { databaseId: agent.databaseId('late'), environment: 'test' };
      host.journal.begin({ id, kind: 'backup', environment, database: 'late', databaseId, detail: {} });
      host.journal.finish(id, 'failed', {}, { code: 'X', text: 'why' });
      return id;
    });
    await waitFor('its report', () => controlPlane.run(runId));
    expect(controlPlane.hellos.length).toBeGreaterThan(1);
    const said = controlPlane.connections[0]?.said ?? [];
    expect(said.lastIndexOf('hello')).toBeLessThan(said.indexOf('report'));
  });

  test('begins with what was found before where the server is down, and its backups fail visibly', async () => {
    makeAgent({ schedule: '* * * * *' });
    await look();
    await cluster.kill();
    try {
      await agent.start();
      await waitFor('the first hello', () => controlPlane.hellos.length > 0, { timeoutMs: 30_000 });
      expect(declared()).toEqual(['app']);
      expect(agent.said.join('\n')).toContain('could not be asked which databases it holds');
      aheadMs += 61_000;
      const failed = await waitFor('the failed backup', () =>
        controlPlane.told('run').find(({ state }) => state === 'failed'),
      );
      expect(failed).toMatchObject({ databaseId: agent.databaseId('app'), error: { code: 'ServerUnreachable' } });
    } finally {
      await cluster.start();
    }
  }, 60_000);
});
