import { createSampleDatabase, startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { AgentHost, during, type HostOptions } from './agent-host.ts';
import { databasesOf, journalOf, reportsOf } from './raw-state.ts';

/** A backup is proven by restoring it, and nothing is left of that. */

let cluster: PostgresCluster;
const hosts: AgentHost[] = [];
beforeAll(async () => {
  cluster = await startPostgres();
  await createSampleDatabase(cluster, 'app', { scaleMb: 2 });
}, 240_000);
afterAll(async () => {
  await cluster?.stop();
});
afterEach(async () => {
  for (const host of hosts.splice(0)) host.remove();
  const left = (await databasesOf(cluster)).filter((name) => name.startsWith('strideiq_'));
  if (left.length > 0) throw new Error(`a drill left ${left.join(', ')}`);
});

function hostOf(options: Partial<HostOptions> = {}): AgentHost {
  const host = new AgentHost({ cluster, database: 'app', ...options });
  hosts.push(host);
  return host;
}

interface Drilled {
  backupId: string;
  rows: number;
  restoreMs: number;
  countsAsRto: boolean;
  dataAgeMs: number;
  sampledTables: number;
  sampledRows: number;
  assertions: number;
  notes: string[];
}

test('restores the latest backup, looks closely, and leaves nothing', async () => {
  const host = hostOf({
    drill: {
      sampledRows: 1_000_000,
      assertions: [
        { name: 'athletes', sql: 'SELECT count(*) > 0 FROM app.athletes' },
        { name: 'two statements', sql: "SET work_mem = '8MB'; SELECT true" },
        { name: 'every activity has an athlete', sql: 'SELECT a.athlete_id IS NOT NULL FROM app.activities a' },
      ],
    },
  });
  const { backupId } = await host.json<{ backupId: string }>('backup');
  const drilled = await host.json<Drilled>('drill');
  expect(drilled).toMatchObject({ backupId, countsAsRto: true, assertions: 3, notes: [] });
  const { tables } = await host.json<{ tables: { schema: string; rows: number }[] }>('show', 'latest');
  // What an extension has filled by itself too cannot be told from what it was given.
  const filled = tables.filter(({ schema, rows }) => rows > 0 && schema !== 'zones');
  expect([drilled.sampledTables, drilled.sampledRows]).toEqual([
    filled.length,
    filled.reduce((sum, { rows }) => sum + rows, 0),
  ]);
  expect(drilled.dataAgeMs).toBeGreaterThan(0);
  expect(drilled.restoreMs).toBeGreaterThan(0);
  expect(journalOf(host).at(-1)).toMatchObject({ kind: 'drill', state: 'succeeded' });
  const { stdout } = await host.run('drill');
  expect(stdout).toMatch(/it restores\n +restored +in .*\(RTO\)\n +data +of .* ago \(RPO\)\n/);
});

test('an assertion that does not hold fails it, and each is told', async () => {
  const host = hostOf({
    drill: {
      assertions: [
        { name: 'of today', sql: "SELECT now() < 'yesterday'" },
        { name: 'no row', sql: 'SELECT true WHERE false' },
        { name: 'no table', sql: 'SELECT true FROM app.nothing' },
        { name: 'no writing', sql: 'DELETE FROM app.athletes RETURNING true' },
        { name: 'holds', sql: 'SELECT true' },
      ],
    },
  });
  await host.json('backup');
  const { code, stderr } = await host.run('drill');
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(
      /of 5 assertions.* 4 did not hold: of today: it gave false; no row: it gave no row; no table: relation "app\.nothing" does not exist; no writing: cannot execute DELETE/i,
    ),
  ]);
  expect(journalOf(host).at(-1)).toMatchObject({ kind: 'drill', state: 'failed', error_code: 'AssertionFailed' });
});

test('with other storage than production it is no RTO, and says so', async () => {
  const host = hostOf();
  await host.json('backup');
  const drilled = await host.json<Drilled>('drill', '--toast-compression', 'lz4');
  expect(drilled.countsAsRto).toBe(false);
  expect(drilled.notes).toEqual([expect.stringMatching(/stored by lz4/)]);
  // By the server's own setting, where it is not the one that the backup was made under.
  await cluster.query('postgres', `ALTER ROLE ${cluster.user} SET default_toast_compression = 'lz4'`);
  try {
    expect(await host.json<Drilled>('drill')).toMatchObject({ countsAsRto: false, notes: drilled.notes });
  } finally {
    await cluster.query('postgres', `ALTER ROLE ${cluster.user} RESET default_toast_compression`);
  }
});

test('it does not matter in which time zone a server writes what it holds', async () => {
  await cluster.createDatabase('zoned');
  await cluster.query(
    'zoned',
    `ALTER DATABASE zoned SET timezone = 'Asia/Tokyo'; ALTER DATABASE zoned SET bytea_output = 'escape'; ALTER DATABASE zoned SET search_path = s;
     CREATE SCHEMA s; CREATE TABLE s.moments AS SELECT now() + n * interval '1 hour' AS at, decode(md5(n::text), 'hex') AS bytes FROM generate_series(1, 1000) AS n`,
  );
  const host = hostOf({
    database: 'zoned',
    drill: { assertions: [{ name: 'by its short name', sql: 'SELECT count(*) = 1000 FROM moments' }] },
  });
  await host.json('backup');
  expect(await host.json<Drilled>('drill')).toMatchObject({ sampledTables: 1, sampledRows: 1000, notes: [] });
});

test('rows that are not those of the dump are found, though they are as many', async () => {
  await cluster.createDatabase('spoilt');
  await cluster.query(
    'spoilt',
    `CREATE TABLE t AS SELECT n AS a FROM generate_series(1, 10) AS n; GRANT SELECT ON t TO PUBLIC;
     CREATE FUNCTION spoils() RETURNS event_trigger LANGUAGE plpgsql AS
       'BEGIN IF current_database() <> ''spoilt'' THEN UPDATE public.t SET a = 0 WHERE a = 5; END IF; END';
     CREATE EVENT TRIGGER spoils ON ddl_command_end EXECUTE FUNCTION spoils()`,
  );
  const host = hostOf({ database: 'spoilt' });
  await host.json('backup');
  const { code, stderr } = await host.run('drill');
  expect([code, stderr]).toEqual([1, expect.stringMatching(/rows of public\.t .*as many, but not the same/)]);
  expect(journalOf(host).at(-1)).toMatchObject({ kind: 'drill', state: 'failed', error_code: 'RowsDiffer' });
});

test('without a backup there is nothing to drill', async () => {
  const host = hostOf();
  const { code, stderr } = await host.run('drill');
  expect([code, stderr]).toEqual([3, expect.stringMatching(/no backup/i)]);
  expect(journalOf(host)).toEqual([]);
});

test('a backup of another database proves nothing', async () => {
  await cluster.createDatabase('another');
  const another = hostOf({ database: 'another' });
  await another.json('backup');
  const host = hostOf();
  await host.json('backup');
  const [dump = ''] = another.files().filter((name) => /^another_\d+_\d+\.sql\.gz$/.test(name));
  const { code, stderr } = await host.run('drill', '--backup', another.path(dump), '--trust-source');
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/proves nothing of this database: it is a backup of another/),
  ]);
});

test('on the server of another database of the file it says so; killed there it is cleared there', async () => {
  await cluster.createDatabase('plain');
  await cluster.query(
    'plain',
    `CREATE FUNCTION waits() RETURNS boolean LANGUAGE plpgsql AS
       'BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = ''please_wait'') THEN PERFORM pg_catalog.pg_sleep(3600); END IF; RETURN true; END';
     CREATE TABLE t (a int CHECK (waits())); INSERT INTO t VALUES (1);
     CREATE ROLE "Only here, and "; CREATE ROLE only_reads; ALTER TABLE t OWNER TO "Only here, and "; GRANT SELECT ON t TO only_reads`,
  );
  const elsewhere = await startPostgres();
  try {
    const { host: address, port, user } = elsewhere;
    const connection = { host: address, port, user, database: 'postgres' };
    const host = hostOf({
      database: 'plain',
      stores: ['local'],
      drill: { via: 'proofs' },
      moreStores: { other: { type: 'directory', path: 'other' } },
      moreDatabases: { proofs: { connection, stores: ['other'] } },
    });
    await host.json('backup', 'plain');
    const { countsAsRto, notes } = await host.json<Drilled>('drill', 'plain', '--via', 'proofs');
    expect(countsAsRto).toBe(true);
    expect(notes).toContainEqual(expect.stringMatching(/on another server than its own/));
    expect(linesOf(host)).toContainEqual(expect.stringMatching(/has no role Only here, and , only_reads:/));

    await elsewhere.createDatabase('please_wait');
    // As its file says by itself.
    const agent = host.start('drill', 'plain');
    await during(agent, 'the load', async () => loads(elsewhere));
    agent.process.kill('SIGKILL');
    await agent.result;
    await host.json('backup', 'plain');
    expect(await databasesOf(elsewhere)).toEqual(['please_wait', 'postgres', 'template0', 'template1']);
    expect(journalOf(host).findLast(({ kind }) => kind === 'drill')).toMatchObject({ state: 'failed' });
  } finally {
    await elsewhere.stop();
  }
});

/** What people read of its runs. */
function linesOf(host: AgentHost): string[] {
  return reportsOf(host)
    .filter(({ kind }) => kind === 'log')
    .flatMap(({ body }) => (body as { lines: { text: string }[] }).lines.map(({ text }) => text));
}

/** Whether a drill's rows wait to be loaded there. */
async function loads(server: PostgresCluster): Promise<boolean> {
  const sql = "SELECT FROM pg_stat_activity WHERE query LIKE 'COPY%' AND wait_event = 'PgSleep'";
  return (await server.query('postgres', sql)).length > 0;
}

test('killed in the middle it leaves nothing once the agent was there again', async () => {
  await cluster.createDatabase('slow');
  await cluster.query(
    'slow',
    `CREATE FUNCTION waits() RETURNS boolean LANGUAGE plpgsql AS
       'BEGIN IF current_database() <> ''slow'' THEN PERFORM pg_sleep(3600); END IF; RETURN true; END';
     CREATE TABLE t (a int CHECK (waits())); INSERT INTO t VALUES (1)`,
  );
  const host = hostOf({ database: 'slow' });
  await host.json('backup');
  for (const end of ['SIGKILL', 'SIGINT'] as const) {
    const agent = host.start('drill');
    await during(agent, 'the load', async () => loads(cluster));
    agent.process.kill(end);
    const { code } = await agent.result;
    expect(code).toBe(end === 'SIGINT' ? 130 : undefined);
    await host.json('backup');
    await waitFor(
      'nothing of it',
      async () => !(await databasesOf(cluster)).some((name) => name.startsWith('strideiq_')),
    );
    const state = end === 'SIGKILL' ? 'failed' : 'cancelled';
    expect(journalOf(host).findLast(({ kind }) => kind === 'drill')).toMatchObject({ state });
  }
});
