import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startPostgres, startTcpProxy, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentHost, during, type HostOptions } from './agent-host.ts';

/** Whatever falls silent, a backup comes to its end by itself and says what it was. */

let cluster: PostgresCluster;
const hosts: AgentHost[] = [];

const limits = { hangLimit: '2s', stallLimit: '3s', lockWaitLimit: '3s', snapshotAgeLimit: '60s' };
const withinMs = 25_000;

beforeAll(async () => {
  cluster = await startPostgres();
}, 60_000);

afterAll(async () => {
  for (const host of hosts) host.remove();
  await cluster?.stop();
});

function newHost(options: Partial<HostOptions> & Pick<HostOptions, 'database'>): AgentHost {
  const host = new AgentHost({ cluster, ...options, dump: { ...limits, ...options.dump } });
  hosts.push(host);
  return host;
}

/** A folder whose tools first do `lines`: `$0 $*` tells which one it is. */
function wrapped(host: AgentHost, lines: string): string {
  const folder = join(host.directory, 'tools');
  mkdirSync(folder);
  for (const tool of ['pg_dump', 'pg_dumpall']) {
    const script = `#!/bin/sh\ncase "$0 $*" in *--version*) ;; ${lines} esac\nexec "${cluster.clientDir}/${tool}" "$@"\n`;
    writeFileSync(join(folder, tool), script);
    chmodSync(join(folder, tool), 0o755);
  }
  return folder;
}

let databases = 0;

/** A database of its own, since one takes one backup at a time. */
async function newDatabase(rows: number): Promise<string> {
  const name = `hangs_${++databases}`;
  await cluster.createDatabase(name);
  await cluster.query(name, `CREATE TABLE t AS SELECT g AS a, md5(g::text) AS b FROM generate_series(1, ${rows}) g`);
  return name;
}

async function hostWith(lines: string): Promise<AgentHost> {
  const database = await newDatabase(100);
  const other = newHost({ database });
  return newHost({ database, dump: { pgDump: wrapped(other, lines) } });
}

const copying = async (database: string) => {
  const sql = `SELECT FROM pg_stat_activity WHERE query LIKE 'COPY public.t%' AND state = 'active' AND datname = '${database}'`;
  return (await cluster.query('postgres', sql)).length > 0;
};

test.concurrent(
  'a pg_dump that never says a word',
  async () => {
    const host = await hostWith('*/pg_dumpall*|*--schema-only*) ;; *) exec sleep 1000 ;;');
    const result = await host.run('backup');
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('has written nothing for') as string });
  },
  withinMs,
);

test.concurrent(
  'a wrapper that leaves a child with our pipes',
  async () => {
    const host = await hostWith('*/pg_dumpall*|*--schema-only*) ;; *) echo "-- x"; sleep 40; exit 3 ;;');
    const result = await host.run('backup');
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('has written nothing for') as string });
  },
  withinMs,
);

test.concurrent.each(['*/pg_dumpall*', '*--schema-only*'])(
  '%s that never says a word: the rows are stored all the same',
  async (which) => {
    const host = await hostWith(`${which}) exec sleep 1000 ;;`);
    const result = await host.run('backup');
    expect(result).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('Owners and grants are not in') as string,
    });
  },
  withinMs,
);

test.concurrent(
  'SIGTERM while owners and grants are read',
  async () => {
    const mark = join(newHost({ database: 'any' }).directory, 'begun');
    const host = await hostWith(`*/pg_dumpall*) touch '${mark}'; exec sleep 1000 ;;`);
    const agent = host.start('backup');
    await during(agent, 'pg_dumpall', () => existsSync(mark));
    agent.process.kill('SIGTERM');
    expect(await agent.result).toMatchObject({ code: 130 });
  },
  withinMs,
);

test.concurrent(
  'a migration in the queue between the leader and the second pg_dump',
  async () => {
    await cluster.createDatabase('queue');
    await cluster.query('queue', 'CREATE TABLE t (a int)');
    const { directory } = newHost({ database: 'queue' });
    const [begun, queued] = [join(directory, 'begun'), join(directory, 'queued')];
    const wait = `*--schema-only*) touch '${begun}'; while [ ! -e '${queued}' ]; do sleep 0.1; done ;;`;
    const pgDump = wrapped(newHost({ database: 'queue' }), wait);
    const agent = newHost({ database: 'queue', dump: { pgDump } }).start('backup');
    await during(agent, 'the second pg_dump', () => existsSync(begun));
    const migration = await cluster.connect('queue');
    try {
      const altered = migration.query('ALTER TABLE t ADD b int');
      const waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE t%'";
      await waitFor('the migration in the queue', async () => (await cluster.query('queue', waits)).length > 0);
      writeFileSync(queued, '');
      expect(await agent.result).toMatchObject({ code: 0 });
      await altered;
    } finally {
      await migration.end();
    }
  },
  withinMs,
);

test.concurrent.each(['SIGTERM', 'nothing'] as const)(
  'a server behind a line that swallows everything, and %s',
  async (what) => {
    const database = await newDatabase(500_000);
    const proxy = await startTcpProxy({ to: { host: cluster.host, port: cluster.port } });
    await proxy.set({ toClient: { bytesPerSecond: 3_000_000 } });
    try {
      const connection = { host: proxy.host, port: proxy.port, sslmode: 'disable' };
      const agent = newHost({ database, connection }).start('backup');
      await during(agent, 'rows on their way', async () => copying(database));
      await proxy.set({ blackHole: true });
      const cutAt = performance.now();
      if (what === 'SIGTERM') agent.process.kill('SIGTERM');
      const result = await agent.result;
      expect(performance.now() - cutAt).toBeLessThan(what === 'SIGTERM' ? 20_000 : 35_000);
      expect(result).toMatchObject({ code: what === 'SIGTERM' ? 130 : 1 });
    } finally {
      await proxy.stop();
    }
  },
  60_000,
);

test('a table with serial and identity columns that is left out: the backup restores', async () => {
  await cluster.createDatabase('excluded');
  await cluster.query(
    'excluded',
    `CREATE TABLE kept (a int);
     CREATE TABLE logs (id serial PRIMARY KEY, a int UNIQUE CHECK (a > 0));
     CREATE TABLE marks (id int GENERATED ALWAYS AS IDENTITY)`,
  );
  const host = newHost({ database: 'excluded', dump: { excludeTables: ['logs', 'marks'] } });
  await host.json('backup');
  expect(await host.run('restore', 'latest', '--into', 'excluded_again')).toMatchObject({ code: 0 });
}, 30_000);

test('a server that dies behind exec', async () => {
  const database = await newDatabase(500_000);
  const agent = newHost({ database, dump: { exec: ['env'] } }).start('backup');
  await during(agent, 'rows on their way', async () => copying(database), { everyMs: 5 });
  await cluster.kill();
  const result = await agent.result;
  await cluster.start();
  // Whichever connection it met; of the script in the tunnel nothing is shown.
  expect(result).toMatchObject({ code: 1, stderr: expect.not.stringContaining('exec 3<>') as string });
}, 40_000);
