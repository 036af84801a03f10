import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import {
  createOddDatabase,
  createSampleDatabase,
  fingerprint,
  schemaText,
  startPostgres,
  startTcpProxy,
  waitFor,
  type PostgresCluster,
} from '@strideiq/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentHost, during, type HostOptions } from './agent-host.ts';
import { restoreByStockTools } from './dump-text.ts';
import { childrenOf } from './processes.ts';
import { journalOf } from './raw-state.ts';

/** Tables of every size read by several connections: the same rows as pg_dump writes, and a clear end in every trouble. */

let cluster: PostgresCluster;
const hosts: AgentHost[] = [];

beforeAll(async () => {
  cluster = await startPostgres();
  await createSampleDatabase(cluster, 'sample', { scaleMb: 4 });
  await createOddDatabase(cluster, 'odd');
  await cluster.createDatabase('one');
  await cluster.query(
    'one',
    `CREATE TABLE small (a int); INSERT INTO small VALUES (1);
     CREATE TABLE t AS SELECT n AS a, md5(n::text) AS b FROM generate_series(1, 400000) AS n`,
  );
}, 120_000);

afterAll(async () => {
  for (const host of hosts) host.remove();
  await cluster?.stop();
});

function newHost(database: string, options: Partial<HostOptions> = {}): AgentHost {
  const dump = { jobs: 3, largeTable: '0B', ...options.dump };
  const host = new AgentHost({ cluster, database, ...options, dump });
  hosts.push(host);
  return host;
}

interface BackupDocument {
  name: string;
  rows: number;
  tables: number;
  warnings: string[];
}

/** Connections that read rows, as the manifest of the host's newest backup says. */
function jobsOf(host: AgentHost): number {
  const text = readFileSync(host.path('LATEST.manifest.json'), 'utf8');
  return (JSON.parse(text) as { dumpOptions: { jobs: number } }).dumpOptions.jobs;
}

/**
 * All lines of a dump in an order of their own: rows and statements are there, whatever the order of tables and rows, and
 * without the lines that begin and end a stretch of rows. One character for each byte.
 */
function linesOf(sql: string): string[] {
  return sql
    .split('\n')
    .filter((line) => !/^(--.*|\\\.|\\(un)?restrict .*|COPY .* FROM stdin;|)$/.test(line))
    .toSorted((a, b) => (a < b ? -1 : 1));
}

/** Lines of a backup by lanes and of a plain pg_dump that stand in one of them only; some of them, where there are many. */
async function differences(host: AgentHost, database: string): Promise<string[]> {
  const { name, warnings } = await host.json<BackupDocument>('backup', '--verify');
  if (warnings.length > 0 || jobsOf(host) < 2) throw new Error(`lanes were not used: ${warnings.join(' ')}`);
  const file = join(host.directory, 'plain.sql');
  await cluster.runClient('pg_dump', ['--no-owner', '--no-acl', '-f', file, '-d', database]);
  const ours = linesOf(gunzipSync(readFileSync(host.path(name))).toString('latin1'));
  const plain = linesOf(readFileSync(file, 'latin1'));
  const longer = ours.length > plain.length ? ours : plain;
  return longer.flatMap((_, at) => (ours[at] === plain[at] ? [] : [`${ours[at]} | ${plain[at]}`])).slice(0, 3);
}

describe.each(['sample', 'odd'])('the backup of %s', (database) => {
  test('holds the lines of a plain pg_dump, and restores to the same by the agent and by stock tools', async () => {
    const host = newHost(database);
    expect(await differences(host, database)).toEqual([]);
    const name = host.files().find((file) => /_\d+\.sql\.gz$/.test(file)) ?? '';
    const expected = await fingerprint(cluster, database);
    await host.json('restore', 'latest', '--into', `${database}_agent`, '--trust-source');
    expect(await fingerprint(cluster, `${database}_agent`)).toEqual(expected);
    await restoreByStockTools(cluster, host.path(name), `${database}_stock`);
    expect(await fingerprint(cluster, `${database}_stock`)).toEqual(expected);
    // A plain round trip is the yardstick: expressions may be printed differently after it.
    await cluster.createDatabase(`${database}_plain`, { template: 'template0' });
    await cluster.psql(`${database}_plain`, { file: join(host.directory, 'plain.sql') });
    expect(await schemaText(cluster, `${database}_stock`)).toBe(await schemaText(cluster, `${database}_plain`));
  });
});

test.each([
  { encoding: 'LATIN1', content: `convert_from('\\x6cf6776520e9', 'LATIN1')` },
  { encoding: 'SQL_ASCII', content: `convert_from('\\x6cf6776520e9ff80', 'SQL_ASCII')` },
])('a database in $encoding', async ({ encoding, content }) => {
  const database = `in_${encoding.toLowerCase()}`;
  await cluster.createDatabase(database, { template: 'template0', encoding, locale: 'C' });
  await cluster.query(
    database,
    `CREATE TABLE plain ("größe" int, "it""s" text DEFAULT 'ü'); INSERT INTO plain SELECT n, ${content} FROM generate_series(1, 1000) AS n;
     CREATE TABLE more AS SELECT * FROM plain;
     CREATE TABLE "läufe" (a text); INSERT INTO "läufe" SELECT ${content} FROM generate_series(1, 10)`,
  );
  expect(await differences(newHost(database), database)).toEqual([]);
});

test('settings of the role change nothing: timeouts, styles of dates and floats, a search_path', async () => {
  await cluster.createDatabase('styled');
  await cluster.query(
    'styled',
    `CREATE ROLE styled LOGIN; GRANT pg_read_all_data TO styled;
     ALTER ROLE styled SET statement_timeout = '300ms'; ALTER ROLE styled SET idle_in_transaction_session_timeout = '300ms';
     ALTER ROLE styled SET datestyle = 'German'; ALTER ROLE styled SET intervalstyle = 'sql_standard';
     ALTER ROLE styled SET extra_float_digits = -5; ALTER ROLE styled SET synchronize_seqscans = on; ALTER ROLE styled SET row_security = on;
     CREATE SCHEMA other; CREATE TABLE public.t AS SELECT n AS a, n / 3.0::float8 AS f, '0044-03-15 BC'::date + n AS d, n * interval '1 day 2 hours' AS i,
       repeat(md5(n::text), 8) AS b FROM generate_series(1, 30000) AS n; CREATE TABLE other.t (a int)`,
  );
  const proxy = await startTcpProxy({ to: { host: cluster.host, port: cluster.port } });
  try {
    // Slow enough for the role's timeout to strike, were it in force.
    await proxy.set({ toClient: { bytesPerSecond: 8_000_000 } });
    const connection = { host: proxy.host, port: proxy.port, user: 'styled' };
    expect(await differences(newHost('styled', { connection }), 'styled')).toEqual([]);
  } finally {
    await proxy.stop();
  }
});

describe('every way to the server', () => {
  beforeAll(async () => {
    // By the server itself, so that the key is its own.
    const make =
      'cat > /dev/null; openssl req -new -x509 -nodes -subj /CN=localhost -out server.crt -keyout server.key';
    await cluster.query('postgres', `COPY (SELECT 1) TO PROGRAM '${make} 2> /dev/null && chmod 600 server.key'`);
    await cluster.query('postgres', 'ALTER SYSTEM SET ssl = on');
    await cluster.query('postgres', 'SELECT pg_reload_conf()');
    await waitFor('TLS', async () => {
      const [row] = await cluster.query<{ ssl: string }>('postgres', 'SHOW ssl');
      return row?.ssl === 'on';
    });
  });

  test.each<[string, Partial<HostOptions>]>([
    ['tls', { connection: { sslmode: 'require' } }],
    ['plain', { connection: { sslmode: 'disable' } }],
    ['command', { dump: { exec: ['env'] } }],
  ])('%s: the same rows', async (way, options) => {
    const host = newHost('sample', options);
    const { name } = await host.json<BackupDocument>('backup');
    expect(jobsOf(host)).toBe(3);
    await restoreByStockTools(cluster, host.path(name), `by_${way}`);
    expect(await fingerprint(cluster, `by_${way}`)).toEqual(await fingerprint(cluster, 'sample'));
  });

  test('a socket in a directory: the same rows', async () => {
    const host = newHost('sample', { connection: { host: cluster.directory } });
    const { name } = await host.json<BackupDocument>('backup');
    expect(jobsOf(host)).toBe(3);
    await restoreByStockTools(cluster, host.path(name), 'by_socket');
    expect(await fingerprint(cluster, 'by_socket')).toEqual(await fingerprint(cluster, 'sample'));
  });
});

test('--jobs says it in place of the file', async () => {
  const host = newHost('one');
  await host.json('backup', '--jobs', '1');
  expect(jobsOf(host)).toBe(1);
  await host.json('backup', '--jobs', '2');
  expect(jobsOf(host)).toBe(2);
  expect(await host.run('backup', '--jobs', '0')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('auto or a whole number from 1 to 64') as string,
  });
});

test('tables without rows are not read, nor those left out', async () => {
  const host = newHost('sample', { dump: { excludeTableData: ['app.splits'], excludeTables: ['app.coach_messages'] } });
  const { name } = await host.json<BackupDocument>('backup', '--verify');
  expect(jobsOf(host)).toBe(3);
  await restoreByStockTools(cluster, host.path(name), 'without');
  const { tables } = await fingerprint(cluster, 'sample');
  const { 'app.splits': splits, 'app.coach_messages': messages, ...others } = tables;
  expect([splits?.rows, messages?.rows]).not.toContain(0);
  const empty = { rows: 0, checksum: '0' };
  expect((await fingerprint(cluster, 'without')).tables).toEqual({ ...others, 'app.splits': empty });
});

describe('connections that cannot be had', () => {
  test.each([
    { limit: 3, jobs: 1, says: /^Rows were read by pg_dump alone/ },
    { limit: 4, jobs: 1, says: /^Rows were read by 1 of 3 connections/ },
    { limit: 20, jobs: 3, says: /^$/ },
  ])('$limit for the role: the backup is whole, and says how it was read', async ({ limit, jobs, says }) => {
    const role = `few_${limit}`;
    await cluster.query(
      'postgres',
      `CREATE ROLE ${role} LOGIN CONNECTION LIMIT ${limit}; GRANT pg_read_all_data TO ${role}`,
    );
    const host = newHost('one', { connection: { user: role } });
    const { rows, warnings } = await host.json<BackupDocument>('backup', '--verify');
    expect(rows).toBe(400_001);
    expect(jobsOf(host)).toBe(jobs);
    expect(warnings.join('\n')).toMatch(says);
  });
});

describe('in the middle of a lane', () => {
  const lanes = `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'strideiq-backup-%-lane-%' AND query LIKE 'COPY (SELECT a, b FROM ONLY public.t%' AND state = 'active'`;

  /** A backup whose lanes are slow enough to be seen in the middle of rows. */
  async function under<T>(dump: Record<string, unknown>, work: (slow: Slow) => Promise<T>): Promise<T> {
    const proxy = await startTcpProxy({ to: { host: cluster.host, port: cluster.port } });
    await proxy.set({ toClient: { bytesPerSecond: 2_000_000 } });
    const host = newHost('one', { connection: { host: proxy.host, port: proxy.port, sslmode: 'disable' }, dump });
    try {
      const agent = host.start('backup');
      await during(agent, 'rows on their way', async () => (await cluster.query('postgres', lanes)).length > 0, {
        everyMs: 5,
      });
      return await work({ host, agent, proxy });
    } finally {
      await proxy.stop();
    }
  }
  interface Slow {
    host: AgentHost;
    agent: ReturnType<AgentHost['start']>;
    proxy: Awaited<ReturnType<typeof startTcpProxy>>;
  }

  async function expectNothingKept(host: AgentHost, state: string): Promise<void> {
    expect(host.files()).toEqual(['strideiq-owner.json']);
    expect(journalOf(host).at(-1)).toMatchObject({ kind: 'backup', state });
    await waitFor('no session of the backup', async () => {
      const sessions = `SELECT FROM pg_stat_activity WHERE application_name LIKE 'strideiq-backup-%'`;
      return (await cluster.query('postgres', sessions)).length === 0;
    });
  }

  test('its session is ended: the table is named', async () => {
    await under({}, async ({ host, agent }) => {
      await cluster.query('postgres', `SELECT pg_terminate_backend(pid) FROM (${lanes}) AS lanes LIMIT 1`);
      const { code, stderr } = await agent.result;
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/the rows of public\.t\b.*Nothing of this dump was kept/),
      ]);
      await expectNothingKept(host, 'failed');
    });
  });

  test('its statement is cancelled: the server’s words are told', async () => {
    await under({}, async ({ host, agent }) => {
      await cluster.query('postgres', `SELECT pg_cancel_backend(pid) FROM (${lanes}) AS lanes LIMIT 1`);
      const { code, stderr } = await agent.result;
      expect([code, stderr]).toEqual([1, expect.stringMatching(/the rows of public\.t\b.*canceling statement/)]);
      await expectNothingKept(host, 'failed');
    });
  });

  test('the snapshot grows too old', async () => {
    await under({ snapshotAgeLimit: '3s' }, async ({ host, agent }) => {
      const { code, stderr } = await agent.result;
      expect([code, stderr]).toEqual([1, expect.stringContaining('held its snapshot')]);
      await expectNothingKept(host, 'failed');
    });
  });

  test('the program and what it has started stand back as far as they are told to', async () => {
    await under({ nice: 7 }, async ({ agent }) => {
      const pid = agent.process.pid ?? 0;
      const programs = [pid, ...childrenOf(pid).map((child) => child.pid)];
      const threads = programs.flatMap((program) =>
        readdirSync(`/proc/${program}/task`).map((thread) => `/proc/${program}/task/${thread}/stat`),
      );
      // The 19th field, counted behind the name, which may hold anything (proc(5)).
      const nice = threads.map((file) => readFileSync(file, 'latin1').split(') ').at(-1)?.split(' ')[16]);
      agent.process.kill('SIGINT');
      expect(new Set(nice)).toEqual(new Set(['7']));
      await agent.result;
    });
  });

  test('Ctrl-C', async () => {
    await under({}, async ({ host, agent }) => {
      agent.process.kill('SIGINT');
      expect(await agent.result).toMatchObject({ code: 130 });
      await expectNothingKept(host, 'cancelled');
    });
  });

  test('a line that swallows everything', async () => {
    await under({ hangLimit: '2s' }, async ({ host, agent, proxy }) => {
      await proxy.set({ blackHole: true });
      expect(await agent.result).toMatchObject({ code: 1 });
      expect(host.files()).toEqual(['strideiq-owner.json']);
    });
  }, 60_000);
});

test('a migration that comes again and again: the backup begins anew, and is whole', async () => {
  await cluster.createDatabase('moving', { template: 'one' });
  const host = newHost('moving', { dump: { lockWaitLimit: '60s' } });
  const migration = await cluster.connect('moving');
  let ended = false;
  const migrating = (async () => {
    for (let round = 0; !ended; round++) {
      await migration.query(`ALTER TABLE t ALTER a TYPE ${round % 2 === 0 ? 'bigint' : 'int'}`);
      await migration.query('SELECT pg_sleep(0.5)');
    }
  })();
  try {
    expect(await host.json<BackupDocument>('backup')).toMatchObject({ rows: 400_001, warnings: [] });
    expect(jobsOf(host)).toBe(3);
  } finally {
    ended = true;
    await migrating;
    await migration.end();
  }
}, 120_000);

describe('a hot standby', () => {
  let primary: PostgresCluster;
  let standby: PostgresCluster;
  beforeAll(async () => {
    primary = await startPostgres({ settings: { wal_level: 'replica', max_wal_senders: 4 } });
    standby = await startPostgres({ standbyOf: primary });
    await createSampleDatabase(primary, 'sample', { scaleMb: 1 });
    await waitFor('the database on the standby', async () => {
      const [row] = await primary.query<{ lsn: string }>('postgres', 'SELECT pg_current_wal_lsn()::text AS lsn');
      const replayed = `SELECT 1 WHERE pg_last_wal_replay_lsn() >= '${row?.lsn}'`;
      return (await standby.query('postgres', replayed)).length > 0;
    });
  }, 120_000);
  afterAll(async () => {
    await standby?.stop();
    await primary?.stop();
  });

  test('is read by lanes; what is unlogged is empty there', async () => {
    const host = new AgentHost({ cluster: standby, database: 'sample', dump: { jobs: 3, largeTable: '0B' } });
    hosts.push(host);
    const { name, warnings } = await host.json<BackupDocument>('backup', '--verify');
    expect([jobsOf(host), warnings]).toEqual([3, []]);
    await restoreByStockTools(cluster, host.path(name), 'from_standby');
    const { tables } = await fingerprint(primary, 'sample');
    const unlogged = `SELECT format('%I.%I', nspname, relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relpersistence = 'u' AND relkind = 'r'`;
    for (const { name: table } of await primary.query<{ name: string }>('sample', unlogged)) {
      tables[table] = { rows: 0, checksum: '0' };
    }
    expect((await fingerprint(cluster, 'from_standby')).tables).toEqual(tables);
  });
});
