import { expect, test } from 'vitest';
import { InPlaceStage, inPlace } from './in-place-stage.ts';
import { databasesOf } from './raw-state.ts';

/** A restore in place is refused, with the reason, and changes nothing. */

const stage = new InPlaceStage();

/** Exit code, what it said, and what it left. */
const tried = async (host = stage.hostOf()) => {
  await host.json('backup');
  const { code, stderr } = await host.run(...inPlace);
  const left = (await databasesOf(stage.cluster)).filter((name) => /^strideiq_|_before_/.test(name));
  return [code, stderr, left];
};
const refusal = (why: RegExp) => [1, expect.stringMatching(why), []];

test('where transactions are prepared', async () => {
  await stage.cluster.query('app', "BEGIN; INSERT INTO app.goes VALUES (1); PREPARE TRANSACTION 'left over'");
  try {
    expect(await tried()).toEqual(
      refusal(/cannot be replaced: it has prepared transactions \(left over\)\. Have them end/),
    );
  } finally {
    await stage.cluster.query('app', "ROLLBACK PREPARED 'left over'");
  }
});

test('where a logical slot hangs on it', async () => {
  await stage.cluster.query('app', "SELECT pg_create_logical_replication_slot('reader', 'pgoutput')");
  try {
    expect(await tried()).toEqual(refusal(/logical replication slots hang on it \(reader\)/));
  } finally {
    await stage.cluster.query('app', "SELECT pg_drop_replication_slot('reader')");
  }
});

test('where it subscribes', async () => {
  await stage.cluster.query(
    'app',
    "CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)",
  );
  await stage.cluster.query('app', 'ALTER SUBSCRIPTION feed ENABLE');
  try {
    expect(await tried()).toEqual(refusal(/it has enabled subscriptions \(feed\)/));
  } finally {
    await stage.cluster.query('app', 'ALTER SUBSCRIPTION feed DISABLE');
    await stage.cluster.query('app', 'ALTER SUBSCRIPTION feed SET (slot_name = NONE)');
    await stage.cluster.query('app', 'DROP SUBSCRIPTION feed');
  }
});

test('where it is a template, and where it is not there', async () => {
  const host = stage.hostOf();
  await stage.cluster.query('postgres', 'ALTER DATABASE app IS_TEMPLATE true');
  expect(await tried(host)).toEqual(refusal(/it is a template\. ALTER DATABASE "app" IS_TEMPLATE false/));
  await stage.cluster.query('postgres', 'ALTER DATABASE app IS_TEMPLATE false');
  await stage.cluster.dropDatabase('app');
  const { code, stderr } = await host.run(...inPlace);
  expect([code, stderr]).toEqual([1, expect.stringMatching(/no database "app" that could be replaced.*--into app/)]);
});

test('where the role may not', async () => {
  await stage.cluster.query('postgres', 'CREATE ROLE mere LOGIN CREATEDB; GRANT pg_read_all_data TO mere');
  const host = stage.hostOf({ connection: { user: 'mere' } });
  expect(await tried(host)).toEqual(
    refusal(/may not rename app, which belongs to postgres.*GRANT "postgres" TO "mere"/),
  );
  await stage.cluster.query('postgres', 'ALTER DATABASE app OWNER TO mere');
  const session = await stage.cluster.connect('app');
  try {
    expect(await tried(host)).toEqual(
      refusal(/may not end the sessions of others in app.*GRANT pg_signal_backend TO "mere"/),
    );
    await stage.cluster.query('postgres', 'GRANT pg_signal_backend TO mere');
    expect(await tried(host)).toEqual(refusal(/Superusers are connected to app/));
  } finally {
    await session.end();
    await stage.cluster.query('postgres', 'ALTER DATABASE app OWNER TO postgres; DROP ROLE mere');
  }
});

test.each([
  [['--in-place'], /has to be confirmed, and there is no terminal/],
  [['--in-place', '--yes', '--into', 'x'], /--into stands beside --in-place/],
  [['--in-place', '--yes', '--table', 'app.ledger'], /replaces a whole database, and a part/],
  [[], /Restore into which database\?/],
])('as %j', async (options, why) => {
  const host = stage.hostOf();
  await host.json('backup');
  const { code, stderr } = await host.run('restore', 'latest', ...options);
  expect([code, stderr]).toEqual([2, expect.stringMatching(why)]);
});

test('where the backup is of another database, unless that is meant', async () => {
  const host = stage.hostOf();
  await host.json('backup');
  const other = stage.hostOf({ name: 'other', environment: 'test' });
  const [dump = ''] = host.files().filter((name) => /^app_\d+_\d+\.sql\.gz$/.test(name));
  const asked = ['restore', host.path(dump), '--in-place', '--yes', '--trust-source'];
  const { code, stderr } = await other.run(...asked);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/is a backup of app, and would replace other/)]);
  await other.json(...asked, '--database', 'other');
  expect(await stage.kept()).toHaveLength(1);
});

test('where nothing was replaced: undo', async () => {
  const host = stage.hostOf();
  const { code, stderr } = await host.run('restore', 'undo', '--yes');
  expect([code, stderr]).toEqual([3, expect.stringMatching(/No restore in place of app can be taken back/)]);
});

test('where pg_cron works in it', async () => {
  // The setting is what tells, and needs no pg_cron.
  await stage.cluster.query('postgres', "ALTER ROLE postgres SET cron.database_name = 'app'");
  try {
    expect(await tried()).toEqual(refusal(/pg_cron works in it \(cron\.database_name\)/));
  } finally {
    await stage.cluster.query('postgres', 'ALTER ROLE postgres RESET cron.database_name');
  }
});

test('where there is no other database to rename it from', async () => {
  const host = stage.hostOf();
  await host.json('backup');
  const session = await stage.cluster.connect('app');
  try {
    for (const name of ['postgres', 'template1']) await session.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
    const { code, stderr } = await host.run(...inPlace);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        /there is no other database from which it could be renamed\. Let the agent’s role connect to/,
      ),
    ]);
  } finally {
    for (const name of ['postgres', 'template1']) await session.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
    await session.end();
  }
  expect(await stage.generationOf('app')).toBe(1);
});
