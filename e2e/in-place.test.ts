import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fingerprint, waitFor } from '@strideiq/testkit';
import { expect, test } from 'vitest';
import { agentProgram } from './agent-host.ts';
import { InPlaceStage, inPlace, type Replaced } from './in-place-stage.ts';
import { LiveApplication } from './live-application.ts';
import { databasesOf, journalOf } from './raw-state.ts';

/** Replacing a live database: it is the old one or the new one, whole, and the other one is kept. */

const stage = new InPlaceStage();

test('replaces the database, keeps the old one, and is taken back, and that again', async () => {
  const host = stage.hostOf();
  const { backupId } = await host.json<{ backupId: string }>('backup');
  const first = await fingerprint(stage.cluster, 'app');
  await stage.moveOn();
  const second = await fingerprint(stage.cluster, 'app');

  const { keptAs, safetyBackupId } = await host.json<Replaced>(...inPlace);
  expect(await fingerprint(stage.cluster, 'app')).toEqual(first);
  expect(await fingerprint(stage.cluster, keptAs)).toEqual(second);
  expect(await stage.kept()).toEqual([keptAs]);
  // The old one is also in a backup, which is the newest now; whoever asks for the latest once more does not mean it.
  const [newest] = (await host.json<{ items: { id: string }[] }>('list')).items;
  expect(newest?.id).toBe(safetyBackupId);
  for (const asked of ['latest', 'before:2100-01-01', 'LATEST.sql.gz']) {
    const plan = await host.json<{ backupId: string }>('restore', asked, '--in-place', '--dry-run');
    expect([asked, plan.backupId]).toEqual([asked, backupId]);
  }

  const undone = await host.json<{ keptAs: string }>('restore', 'undo', '--yes');
  expect(await fingerprint(stage.cluster, 'app')).toEqual(second);
  expect(await fingerprint(stage.cluster, undone.keptAs)).toEqual(first);
  await host.json('restore', 'undo', '--yes');
  expect(await fingerprint(stage.cluster, 'app')).toEqual(first);
  expect(journalOf(host).map(({ kind, state }) => `${kind} ${state}`)).toEqual([
    'backup succeeded',
    'restore succeeded',
    'backup succeeded',
    'restore succeeded',
    'restore succeeded',
  ]);
});

test('has owners, grants and settings as the replaced one had them, and tells what the backup had otherwise', async () => {
  await stage.cluster.query(
    'app',
    `ALTER DATABASE app OWNER TO strideiq_app; ALTER DATABASE app SET work_mem = '7MB'; ALTER DATABASE app CONNECTION LIMIT 70;
     ALTER ROLE strideiq_app IN DATABASE app SET statement_timeout = '9s'; COMMENT ON DATABASE app IS 'runs; and runs';
     REVOKE CONNECT, TEMPORARY ON DATABASE app FROM PUBLIC; GRANT CONNECT ON DATABASE app TO strideiq_readonly;
     GRANT INSERT ON app.goes TO strideiq_readonly; GRANT DELETE ON app.ledger TO strideiq_readonly`,
  );
  const host = stage.hostOf();
  await host.json('backup');
  await stage.moveOn();
  await stage.cluster.query(
    'app',
    `REVOKE DELETE ON app.ledger FROM strideiq_readonly; GRANT SELECT ON app.notes TO strideiq_readonly;
     CREATE TABLE app.later (id int); GRANT SELECT ON app.later TO strideiq_readonly;
     ALTER DATABASE app SET work_mem = '9MB'; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO strideiq_readonly`,
  );
  const before = await rights('app');
  const { keptAs, notes } = await host.json<Replaced>(...inPlace);
  expect(await rights('app')).toEqual(before);
  expect(await rights(keptAs)).toEqual(before);
  // A table that the replaced one had no more.
  const goes = "SELECT relacl::text AS acl FROM pg_class WHERE relname = 'goes'";
  expect((await stage.cluster.query<{ acl: string }>('app', goes))[0]?.acl).toContain('strideiq_readonly=a');
  expect(notes).toEqual([
    expect.stringMatching(
      /changed after the backup was made.*: TABLE app\.ledger, TABLE app\.notes, default privileges, the database itself\.$/,
    ),
  ]);
});

/** Rights and settings of what both have, and of the database itself. */
async function rights(database: string): Promise<unknown[]> {
  const ofDatabase = `
    SELECT pg_get_userbyid(datdba)::text AS owner, datacl::text AS acl, datconnlimit AS most,
           shobj_description(d.oid, 'pg_database') AS comment, pg_encoding_to_char(encoding)::text AS encoding, datcollate::text AS collate,
           ARRAY(SELECT coalesce(r.rolname, '-') || ' ' || s.setconfig::text FROM pg_db_role_setting s
                   LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = d.oid ORDER BY 1) AS settings
      FROM pg_database d WHERE datname = current_database()`;
  const ofTables = `
    SELECT relname::text AS name, pg_get_userbyid(relowner)::text AS owner,
           ARRAY(SELECT unnest(relacl)::text ORDER BY 1) AS acl
      FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'v', 'S') AND relname NOT IN ('goes', 'later')
     ORDER BY 1`;
  const defaults = 'SELECT defaclobjtype::text AS kind, defaclacl::text AS acl FROM pg_default_acl ORDER BY 1, 2';
  return Promise.all([ofDatabase, ofTables, defaults].map(async (sql) => stage.cluster.query(database, sql)));
}

test('under an application that works: the old data or the new, and a short pause', async () => {
  const host = stage.hostOf();
  await host.json('backup');
  await stage.moveOn();
  const writer = new LiveApplication(stage.cluster, 'app', { user: 'strideiq_app', perSecond: 200, writes: true });
  const reader = new LiveApplication(stage.cluster, 'app', { user: 'strideiq_readonly', perSecond: 50, writes: false });
  const all = [writer, reader];
  let rate = 0;
  try {
    await waitFor('them to work', () => all.every(({ seen }) => seen.length > 50));
    const began = performance.now();
    const before = writer.seen.length;
    await host.json(...inPlace);
    rate = ((writer.seen.length - before) * 1000) / (performance.now() - began);
    const after = all.map(({ seen }) => seen.length);
    await waitFor('them to work on', () => all.every(({ seen }, at) => seen.length > (after[at] ?? 0) + 50));
  } finally {
    await Promise.all(all.map(async (application) => application.stop()));
  }
  // As fast as was asked for, less what timers and a busy machine take.
  expect(rate).toBeGreaterThan(100);
  const kept = (await stage.kept())[0] ?? '';
  const ids = await Promise.all(
    ['app', kept].map(async (database) =>
      stage.cluster.query<{ note: string }>(database, 'SELECT note FROM app.writes'),
    ),
  );
  const stored = new Set(ids.flat().map(({ note }) => note));
  // What was confirmed is in the one database or the other.
  expect(writer.confirmed.filter((note) => !stored.has(note))).toEqual([]);
  for (const application of all) {
    expect(application.errors).toEqual([]);
    const pairs = application.seen.map(({ generation, rows }) => `${generation} ${rows}`);
    expect([...new Set(pairs)]).toEqual(['2 1500', '1 1000']);
    expect(pairs.slice(pairs.indexOf('1 1000'))).not.toContain('2 1500');
    expect(application.pauseMs('2 1500', '1 1000')).toBeLessThan(2000);
  }
});

test('rows that the backup was told to leave out are not let go of without a word', async () => {
  const host = stage.hostOf({ dump: { excludeTableData: ['app.ledger'], excludeTables: ['app.goes'] } });
  await host.json('backup');
  const { code, stderr } = await host.run(...inPlace);
  expect([code, stderr]).toEqual([1, expect.stringMatching(/told to leave out.*: app\.ledger\..*--accept-excluded/)]);
  expect(await stage.kept()).toEqual([]);
  expect((await host.run(...inPlace, '--dry-run')).stderr).toBe(stderr);

  const { notes, safetyBackupId, keptAs } = await host.json<Replaced>(...inPlace, '--accept-excluded');
  expect(notes).toContainEqual(expect.stringMatching(/in that one alone: app\.ledger/));
  const rowsOf = async (database: string) => (await stage.cluster.query(database, 'SELECT FROM app.ledger')).length;
  expect([await rowsOf('app'), await rowsOf(keptAs)]).toEqual([0, 1000]);
  // What is replaced is backed up whole.
  await host.json('restore', safetyBackupId, '--into', 'restored');
  expect(await rowsOf('restored')).toBe(1000);
});

test('does without the safety backup where it is refused by name', async () => {
  const host = stage.hostOf();
  await host.json('backup');
  const { notes } = await host.json<Replaced>(...inPlace, '--no-safety-backup');
  expect(notes).toEqual(['No backup of the replaced database was made before.']);
  expect(journalOf(host).filter(({ kind }) => kind === 'backup')).toHaveLength(1);
});

test('of a dump by an old script', async () => {
  const host = stage.hostOf();
  const { stdout } = await stage.cluster.runClient('pg_dump', ['--no-owner', '--no-acl', '-d', 'app']);
  writeFileSync(host.path('old.sql'), stdout);
  await stage.moveOn();
  await host.json('restore', host.path('old.sql'), '--in-place', '--yes', '--trust-source');
  expect(await stage.generationOf('app')).toBe(1);
  const [row] = await stage.cluster.query<{ can: boolean }>(
    'app',
    "SELECT has_table_privilege('strideiq_readonly', 'app.ledger', 'SELECT') AS can",
  );
  expect(row?.can).toBe(true);
});

test('whose safety backup fails touches nothing', async () => {
  const host = stage.hostOf({
    stores: ['local', 'gone'],
    moreStores: { gone: { type: 'directory', path: '/proc/nowhere' } },
  });
  await host.run('backup');
  const only = stage.hostOf({ stores: ['gone'], moreStores: { gone: { type: 'directory', path: '/proc/nowhere' } } });
  const [dump = ''] = host.files().filter((name) => /^app_\d+_\d+\.sql\.gz$/.test(name));
  const { code } = await only.run('restore', host.path(dump), '--in-place', '--yes', '--trust-source');
  expect(code).toBe(1);
  expect(journalOf(only).map(({ kind, state }) => `${kind} ${state}`)).toEqual(['restore failed', 'backup failed']);
  expect(await stage.kept()).toEqual([]);
  expect(await databasesOf(stage.cluster)).not.toContainEqual(expect.stringMatching(/^strideiq_/));
});

test('a dry run says what would happen, and nothing does', async () => {
  const host = stage.hostOf();
  await host.json('backup');
  await host.json('restore', 'latest', '--into', 'restored');
  const session = await stage.cluster.connect('app');
  try {
    const before = [await databasesOf(stage.cluster), journalOf(host).length];
    const plan = await host.json('restore', 'latest', '--in-place', '--dry-run');
    expect(plan).toMatchObject({
      mode: 'inPlace',
      into: 'app',
      keptAs: expect.stringMatching(/^app_before_/) as string,
      trust: { trusted: true },
      rows: 1001,
      neededBytes: expect.any(Number) as number,
      freeBytes: expect.any(Number) as number,
      estimatedSeconds: expect.any(Number) as number,
      sessions: [{ user: 'postgres', count: 1 }],
    });
    const { code, stdout } = await host.run('restore', 'latest', '--into', 'another', '--dry-run');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/has done nothing:\n.*into +another, a new database/s)]);
    expect([await databasesOf(stage.cluster), journalOf(host).length]).toEqual(before);
  } finally {
    await session.end();
  }
});

test('replaced databases are kept by count, and dropped by name', async () => {
  const host = stage.hostOf({ keepReplaced: { count: 2 } });
  await host.json('backup');
  const kept: string[] = [];
  for (let round = 0; round < 3; round++) {
    const { keptAs } = await host.json<Replaced>(...inPlace, '--no-safety-backup');
    kept.unshift(keptAs);
  }
  expect(await stage.kept()).toEqual(kept.slice(0, 2).toSorted());
  const { items } = await host.json<{ items: { name: string; was: string }[] }>('restore', 'kept');
  expect(items.map(({ name, was }) => [name, was])).toEqual(kept.slice(0, 2).map((name) => [name, 'app']));

  await stage.cluster.createDatabase('app_before_20200101_000000');
  const foreign = await host.run('restore', 'drop', 'app_before_20200101_000000', '--yes');
  expect([foreign.code, foreign.stderr]).toEqual([
    3,
    expect.stringMatching(/no database that a restore in place of app/),
  ]);
  const session = await stage.cluster.connect(kept[1] ?? '');
  expect((await host.run('restore', 'drop', kept[1] ?? '', '--yes')).code).toBe(1);
  await session.end();
  await host.json('restore', 'drop', kept[1] ?? '', '--yes');
  expect(await stage.kept()).toEqual(['app_before_20200101_000000', ...kept.slice(0, 1)].toSorted());
});

test('is asked for by the name of the database, typed on a terminal', async () => {
  const host = stage.hostOf();
  await host.json('backup');
  await stage.moveOn();
  /** As somebody types it: `script` (bsdutils) is the terminal. */
  const answered = async (name: string) => {
    const words = [
      process.execPath,
      agentProgram,
      'restore',
      'latest',
      '--in-place',
      '--config',
      host.configurationFile,
    ];
    const typing = spawn('script', ['-qec', words.map((word) => `'${word}'`).join(' '), '/dev/null']);
    const said = text(typing.stdout);
    typing.stdout.on('data', (piece: Buffer) => {
      if (piece.toString().includes('Type app to go on')) typing.stdin.write(`${name}\n`);
    });
    const [code] = (await once(typing, 'exit')) as [number];
    typing.stdin.destroy();
    return { code, said: await said };
  };
  expect(await answered('ap')).toEqual({
    code: 2,
    said: expect.stringMatching(/"ap" is not app\. Nothing was changed/),
  });
  expect(await stage.generationOf('app')).toBe(2);
  expect(await answered('app')).toMatchObject({ code: 0 });
  expect(await stage.generationOf('app')).toBe(1);
}, 120_000);

test('stays in its tablespace, and is refused where the server does not take its labels any more', async () => {
  const { cluster } = stage;
  const session = await cluster.connect('postgres');
  await session.query('SET allow_in_place_tablespaces = on');
  await session.query("CREATE TABLESPACE fast LOCATION ''");
  await session.query('ALTER DATABASE app SET TABLESPACE fast');
  // As a server has it whose provider of labels is not loaded any more.
  await session.query('SET allow_system_table_mods = on');
  const labels = "SELECT oid, 'pg_database'::regclass, 'gone', 'secret' FROM pg_database WHERE datname = 'app'";
  await session.query(`INSERT INTO pg_shseclabel ${labels}`);
  const host = stage.hostOf();
  await host.json('backup');
  await stage.moveOn();
  const { code, stderr } = await host.run(...inPlace);
  expect([code, stderr, await stage.generationOf('app')]).toEqual([
    1,
    expect.stringMatching(/security label provider "gone" is not loaded\. Nothing was replaced/),
    2,
  ]);
  await session.query('DELETE FROM pg_shseclabel');
  await host.json(...inPlace);
  const { rows } = await session.query(
    "SELECT spcname AS name FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE datname = 'app'",
  );
  expect([rows, await stage.generationOf('app')]).toEqual([[{ name: 'fast' }], 1]);
  for (const name of ['app', ...(await stage.kept())]) await cluster.dropDatabase(name);
  await session.query('DROP TABLESPACE fast');
  await session.end();
});
