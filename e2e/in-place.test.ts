import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSampleDatabase, fingerprint, startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AgentHost, type HostOptions } from './agent-host.ts';
import { LiveApplication } from './live-application.ts';
import { databasesOf, journalOf } from './raw-state.ts';

/** Replacing a live database: it is the old one or the new one, whole, and the other one is kept. */

let cluster: PostgresCluster;
const hosts: AgentHost[] = [];

beforeAll(async () => {
  // Roles alone, that those of the databases below may belong to.
  cluster = await startPostgres({ settings: { max_prepared_transactions: '5', wal_level: 'logical' } });
  await createSampleDatabase(cluster, 'roles', { scaleMb: 1 });
  await cluster.query('postgres', 'ALTER ROLE strideiq_app LOGIN; ALTER ROLE strideiq_readonly LOGIN');
}, 240_000);
afterAll(async () => {
  await cluster?.stop();
});

beforeEach(async () => {
  await cluster.createDatabase('app');
  await cluster.query(
    'app',
    `CREATE SCHEMA app AUTHORIZATION strideiq_app;
     CREATE TABLE app.generation AS SELECT 1 AS n;
     CREATE TABLE app.ledger AS SELECT n AS id, md5(n::text) AS note FROM generate_series(1, 1000) AS n;
     CREATE TABLE app.writes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
     CREATE VIEW app.notes AS SELECT note FROM app.ledger;
     CREATE TABLE app.goes (id int);
     ALTER TABLE app.generation OWNER TO strideiq_app; ALTER TABLE app.ledger OWNER TO strideiq_app;
     ALTER TABLE app.writes OWNER TO strideiq_app; ALTER TABLE app.goes OWNER TO strideiq_app;
     GRANT USAGE ON SCHEMA app TO strideiq_readonly; GRANT SELECT ON app.ledger, app.generation TO strideiq_readonly`,
  );
});
afterEach(async () => {
  for (const host of hosts.splice(0)) host.remove();
  for (const name of await databasesOf(cluster)) {
    if (/^(app|restored|strideiq_)/.test(name)) await cluster.dropDatabase(name);
  }
});

function hostOf(options: Partial<HostOptions> = {}): AgentHost {
  const host = new AgentHost({ cluster, database: 'app', ...options });
  hosts.push(host);
  return host;
}

/** What the backup does not hold any more. */
async function moveOn(): Promise<void> {
  await cluster.query(
    'app',
    `UPDATE app.generation SET n = 2;
     INSERT INTO app.ledger SELECT n, md5(n::text) FROM generate_series(1001, 1500) AS n;
     DROP TABLE app.goes`,
  );
}

const generationOf = async (database: string) => {
  const [row] = await cluster.query<{ n: number }>(database, 'SELECT n FROM app.generation');
  return row?.n;
};

const keptOf = async () =>
  (await databasesOf(cluster)).filter((name) => /^app_(before|undone)_\d{8}_\d{6}$/.test(name));

interface Replaced {
  runId: string;
  keptAs: string;
  safetyBackupId: string;
  notes: string[];
}

const inPlace = ['restore', 'latest', '--in-place', '--yes'] as const;

describe('a restore in place', () => {
  test('replaces the database, keeps the old one, and is taken back, and that again', async () => {
    const host = hostOf();
    const { backupId } = await host.json<{ backupId: string }>('backup');
    const first = await fingerprint(cluster, 'app');
    await moveOn();
    const second = await fingerprint(cluster, 'app');

    const { keptAs, safetyBackupId } = await host.json<Replaced>(...inPlace);
    expect(await fingerprint(cluster, 'app')).toEqual(first);
    expect(await fingerprint(cluster, keptAs)).toEqual(second);
    expect(await keptOf()).toEqual([keptAs]);
    // The old one is also in a backup, which is the newest now; whoever asks for the latest once more does not mean it.
    const [newest] = (await host.json<{ items: { id: string }[] }>('list')).items;
    expect(newest?.id).toBe(safetyBackupId);
    for (const asked of ['latest', 'before:2100-01-01', 'LATEST.sql.gz']) {
      const plan = await host.json<{ backupId: string }>('restore', asked, '--in-place', '--dry-run');
      expect([asked, plan.backupId]).toEqual([asked, backupId]);
    }

    const undone = await host.json<{ keptAs: string }>('restore', 'undo', '--yes');
    expect(await fingerprint(cluster, 'app')).toEqual(second);
    expect(await fingerprint(cluster, undone.keptAs)).toEqual(first);
    await host.json('restore', 'undo', '--yes');
    expect(await fingerprint(cluster, 'app')).toEqual(first);
    expect(journalOf(host).map(({ kind, state }) => `${kind} ${state}`)).toEqual([
      'backup succeeded',
      'restore succeeded',
      'backup succeeded',
      'restore succeeded',
      'restore succeeded',
    ]);
  });

  test('has owners, grants and settings as the replaced one had them, and tells what the backup had otherwise', async () => {
    await cluster.query(
      'app',
      `ALTER DATABASE app OWNER TO strideiq_app; ALTER DATABASE app SET work_mem = '7MB'; ALTER DATABASE app CONNECTION LIMIT 70;
       ALTER ROLE strideiq_app IN DATABASE app SET statement_timeout = '9s'; COMMENT ON DATABASE app IS 'runs; and runs';
       REVOKE CONNECT, TEMPORARY ON DATABASE app FROM PUBLIC; GRANT CONNECT ON DATABASE app TO strideiq_readonly;
       GRANT INSERT ON app.goes TO strideiq_readonly; GRANT DELETE ON app.ledger TO strideiq_readonly`,
    );
    const host = hostOf();
    await host.json('backup');
    await moveOn();
    await cluster.query(
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
    expect((await cluster.query<{ acl: string }>('app', goes))[0]?.acl).toContain('strideiq_readonly=a');
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
    return Promise.all([ofDatabase, ofTables, defaults].map(async (sql) => cluster.query(database, sql)));
  }

  test('under an application that works: the old data or the new, and a short pause', async () => {
    const host = hostOf();
    await host.json('backup');
    await moveOn();
    const writer = new LiveApplication(cluster, 'app', { user: 'strideiq_app', perSecond: 200, writes: true });
    const reader = new LiveApplication(cluster, 'app', { user: 'strideiq_readonly', perSecond: 50, writes: false });
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
    const kept = (await keptOf())[0] ?? '';
    const ids = await Promise.all(
      ['app', kept].map(async (database) => cluster.query<{ note: string }>(database, 'SELECT note FROM app.writes')),
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
    const host = hostOf({ dump: { excludeTableData: ['app.ledger'], excludeTables: ['app.goes'] } });
    await host.json('backup');
    const { code, stderr } = await host.run(...inPlace);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/told to leave out.*: app\.ledger\..*--accept-excluded/)]);
    expect(await keptOf()).toEqual([]);
    expect((await host.run(...inPlace, '--dry-run')).stderr).toBe(stderr);

    const { notes, safetyBackupId, keptAs } = await host.json<Replaced>(...inPlace, '--accept-excluded');
    expect(notes).toContainEqual(expect.stringMatching(/in that one alone: app\.ledger/));
    const rowsOf = async (database: string) => (await cluster.query(database, 'SELECT FROM app.ledger')).length;
    expect([await rowsOf('app'), await rowsOf(keptAs)]).toEqual([0, 1000]);
    // What is replaced is backed up whole.
    await host.json('restore', safetyBackupId, '--into', 'restored');
    expect(await rowsOf('restored')).toBe(1000);
  });

  test('does without the safety backup where it is refused by name', async () => {
    const host = hostOf();
    await host.json('backup');
    const { notes } = await host.json<Replaced>(...inPlace, '--no-safety-backup');
    expect(notes).toEqual(['No backup of the replaced database was made before.']);
    expect(journalOf(host).filter(({ kind }) => kind === 'backup')).toHaveLength(1);
  });

  test('of a dump by an old script', async () => {
    const host = hostOf();
    const { stdout } = await cluster.runClient('pg_dump', ['--no-owner', '--no-acl', '-d', 'app']);
    writeFileSync(host.path('old.sql'), stdout);
    await moveOn();
    await host.json('restore', host.path('old.sql'), '--in-place', '--yes', '--trust-source');
    expect(await generationOf('app')).toBe(1);
    const [row] = await cluster.query<{ can: boolean }>(
      'app',
      "SELECT has_table_privilege('strideiq_readonly', 'app.ledger', 'SELECT') AS can",
    );
    expect(row?.can).toBe(true);
  });

  test('whose safety backup fails touches nothing', async () => {
    const host = hostOf({
      stores: ['local', 'gone'],
      moreStores: { gone: { type: 'directory', path: '/proc/nowhere' } },
    });
    await host.run('backup');
    const only = hostOf({ stores: ['gone'], moreStores: { gone: { type: 'directory', path: '/proc/nowhere' } } });
    const [dump = ''] = host.files().filter((name) => /^app_\d+_\d+\.sql\.gz$/.test(name));
    const { code } = await only.run('restore', host.path(dump), '--in-place', '--yes', '--trust-source');
    expect(code).toBe(1);
    expect(journalOf(only).map(({ kind, state }) => `${kind} ${state}`)).toEqual(['restore failed', 'backup failed']);
    expect(await keptOf()).toEqual([]);
    expect(await databasesOf(cluster)).not.toContainEqual(expect.stringMatching(/^strideiq_/));
  });
});

describe('hooks', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'strideiq-marks-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  const marked = () => {
    const file = join(directory, 'marks');
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  };
  /** Hooks that write down that they were run, and how, before they run their script. */
  function hooked(scripts: Record<string, string>, more: Record<string, unknown> = {}): AgentHost {
    const mark = (name: string) => `echo ${name} $STRIDEIQ_TARGET $STRIDEIQ_OUTCOME >> '${join(directory, 'marks')}'`;
    const hooks = Object.entries(scripts).map(([name, script]) => [name, ['sh', '-c', `${mark(name)}; ${script}`]]);
    return hostOf({ hooks: { ...Object.fromEntries(hooks), ...more } });
  }

  test('stop the application, start it, and are told what became of the database', async () => {
    const host = hooked({ beforeSwap: 'echo stopping', afterSwap: '', afterRestore: '' });
    await host.json('backup');
    const { runId } = await host.json<Replaced>(...inPlace);
    expect(marked()).toEqual([
      `afterRestore strideiq_restore_${runId.replaceAll('-', '')}`,
      'beforeSwap app',
      'afterSwap app replaced',
    ]);
    await host.json('restore', 'undo', '--yes');
    expect(marked().slice(3)).toEqual(['beforeSwap app', 'afterSwap app replaced']);
  });

  test('a beforeSwap that fails leaves the database as it is, and has the application started', async () => {
    const host = hooked({ beforeSwap: 'echo no such container; exit 1', afterSwap: '' });
    await host.json('backup');
    await moveOn();
    const { code, stderr } = await host.run(...inPlace);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/hooks\.beforeSwap ended with 1.*no such container/)]);
    expect(marked()).toEqual(['beforeSwap app', 'afterSwap app kept']);
    expect(await generationOf('app')).toBe(2);
    expect(await databasesOf(cluster)).not.toContainEqual(expect.stringMatching(/^strideiq_|_before_/));
  });

  test('an afterSwap that fails takes the restore back', async () => {
    const host = hooked({ afterSwap: '[ "$STRIDEIQ_OUTCOME" = kept ]' });
    await host.json('backup');
    await moveOn();
    const { code, stderr } = await host.run(...inPlace);
    const [kept] = await keptOf();
    expect([code, stderr]).toEqual([1, expect.stringMatching(/was taken back/)]);
    expect(stderr).toContain(`is kept as ${kept}`);
    expect(kept).toMatch(/^app_undone_/);
    expect(marked()).toEqual(['afterSwap app replaced', 'afterSwap app kept']);
    expect(await generationOf('app')).toBe(2);
    expect(await generationOf(kept ?? '')).toBe(1);
    expect(journalOf(host).at(-2)).toMatchObject({ kind: 'restore', state: 'failed', error_code: 'HookFailed' });
  });

  describe('a health check', () => {
    let server: Server;
    let url: string;
    /** Of a real application: it is well on the old data alone. */
    let isWell: (generation: number | undefined) => boolean;
    beforeAll(async () => {
      server = createServer((_, response) => {
        void generationOf('app').then(
          (generation) => response.writeHead(isWell(generation) ? 200 : 503).end(),
          () => response.writeHead(500).end(),
        );
      });
      await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/health`;
    });
    afterAll(() => {
      server.close().closeAllConnections();
    });

    test('that is answered ends the restore', async () => {
      isWell = (generation) => generation === 1;
      const host = hooked({}, { healthCheck: url, healthCheckLimit: '30s' });
      await host.json('backup');
      await moveOn();
      await host.json(...inPlace);
      expect(await generationOf('app')).toBe(1);
    });

    test('that is not takes it back', async () => {
      isWell = (generation) => generation === 2;
      const host = hooked({ afterSwap: '' }, { healthCheck: url, healthCheckLimit: '2s' });
      await host.json('backup');
      await moveOn();
      const { code, stderr } = await host.run(...inPlace);
      expect([code, stderr]).toEqual([1, expect.stringMatching(/taken back.*it answered 503/)]);
      expect(marked()).toEqual(['afterSwap app replaced', 'afterSwap app kept']);
      expect(await generationOf('app')).toBe(2);
    });
  });

  test('afterRestore masks what nobody has seen yet, by SQL and by psql', async () => {
    const where = hostOf();
    writeFileSync(where.path('mask.sql'), "UPDATE app.ledger SET note = 'masked'; SELECT 1;");
    const psql = [`${cluster.clientDir}/psql`, '-X', '-c', 'UPDATE app.generation SET n = 77'];
    const host = hostOf({ hooks: { afterRestoreSql: where.path('mask.sql'), afterRestore: psql } });
    await host.json('backup');
    await host.json('restore', 'latest', '--into', 'restored');
    const notes = await cluster.query('restored', 'SELECT DISTINCT note FROM app.ledger');
    expect([notes, await generationOf('restored'), await generationOf('app')]).toEqual([[{ note: 'masked' }], 77, 1]);

    writeFileSync(where.path('mask.sql'), 'UPDATE app.nothing SET note = 1');
    const { code, stderr } = await host.run('restore', 'latest', '--into', 'app_unmasked');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/afterRestoreSql .*"app\.nothing" does not exist/)]);
    expect(await databasesOf(cluster)).not.toContain('app_unmasked');
  });
});

describe('is refused, and changes nothing,', () => {
  /** Exit code, what it said, and what it left. */
  const tried = async (host = hostOf()) => {
    await host.json('backup');
    const { code, stderr } = await host.run(...inPlace);
    const left = (await databasesOf(cluster)).filter((name) => /^strideiq_|_before_/.test(name));
    return [code, stderr, left];
  };
  const refusal = (why: RegExp) => [1, expect.stringMatching(why), []];

  test('where transactions are prepared', async () => {
    await cluster.query('app', "BEGIN; INSERT INTO app.goes VALUES (1); PREPARE TRANSACTION 'left over'");
    try {
      expect(await tried()).toEqual(
        refusal(/cannot be replaced: it has prepared transactions \(left over\)\. Have them end/),
      );
    } finally {
      await cluster.query('app', "ROLLBACK PREPARED 'left over'");
    }
  });

  test('where a logical slot hangs on it', async () => {
    await cluster.query('app', "SELECT pg_create_logical_replication_slot('reader', 'pgoutput')");
    try {
      expect(await tried()).toEqual(refusal(/logical replication slots hang on it \(reader\)/));
    } finally {
      await cluster.query('app', "SELECT pg_drop_replication_slot('reader')");
    }
  });

  test('where it subscribes', async () => {
    await cluster.query(
      'app',
      "CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)",
    );
    await cluster.query('app', 'ALTER SUBSCRIPTION feed ENABLE');
    try {
      expect(await tried()).toEqual(refusal(/it has enabled subscriptions \(feed\)/));
    } finally {
      await cluster.query('app', 'ALTER SUBSCRIPTION feed DISABLE');
      await cluster.query('app', 'ALTER SUBSCRIPTION feed SET (slot_name = NONE)');
      await cluster.query('app', 'DROP SUBSCRIPTION feed');
    }
  });

  test('where it is a template, and where it is not there', async () => {
    const host = hostOf();
    await cluster.query('postgres', 'ALTER DATABASE app IS_TEMPLATE true');
    expect(await tried(host)).toEqual(refusal(/it is a template\. ALTER DATABASE "app" IS_TEMPLATE false/));
    await cluster.query('postgres', 'ALTER DATABASE app IS_TEMPLATE false');
    await cluster.dropDatabase('app');
    const { code, stderr } = await host.run(...inPlace);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/no database "app" that could be replaced.*--into app/)]);
  });

  test('where the role may not', async () => {
    await cluster.query('postgres', 'CREATE ROLE mere LOGIN CREATEDB; GRANT pg_read_all_data TO mere');
    const host = hostOf({ connection: { user: 'mere' } });
    expect(await tried(host)).toEqual(
      refusal(/may not rename app, which belongs to postgres.*GRANT "postgres" TO "mere"/),
    );
    await cluster.query('postgres', 'ALTER DATABASE app OWNER TO mere');
    const session = await cluster.connect('app');
    try {
      expect(await tried(host)).toEqual(
        refusal(/may not end the sessions of others in app.*GRANT pg_signal_backend TO "mere"/),
      );
      await cluster.query('postgres', 'GRANT pg_signal_backend TO mere');
      expect(await tried(host)).toEqual(refusal(/Superusers are connected to app/));
    } finally {
      await session.end();
      await cluster.query('postgres', 'ALTER DATABASE app OWNER TO postgres; DROP ROLE mere');
    }
  });

  test.each([
    [['--in-place'], /has to be confirmed, and there is no terminal/],
    [['--in-place', '--yes', '--into', 'x'], /--into stands beside --in-place/],
    [['--in-place', '--yes', '--table', 'app.ledger'], /replaces a whole database, and a part/],
    [[], /Restore into which database\?/],
  ])('as %j', async (options, why) => {
    const host = hostOf();
    await host.json('backup');
    const { code, stderr } = await host.run('restore', 'latest', ...options);
    expect([code, stderr]).toEqual([2, expect.stringMatching(why)]);
  });

  test('where the backup is of another database, unless that is meant', async () => {
    const host = hostOf();
    await host.json('backup');
    const other = hostOf({ name: 'other', environment: 'test' });
    const [dump = ''] = host.files().filter((name) => /^app_\d+_\d+\.sql\.gz$/.test(name));
    const asked = ['restore', host.path(dump), '--in-place', '--yes', '--trust-source'];
    const { code, stderr } = await other.run(...asked);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/is a backup of app, and would replace other/)]);
    await other.json(...asked, '--database', 'other');
    expect(await keptOf()).toHaveLength(1);
  });

  test('where nothing was replaced: undo', async () => {
    const host = hostOf();
    const { code, stderr } = await host.run('restore', 'undo', '--yes');
    expect([code, stderr]).toEqual([3, expect.stringMatching(/No restore in place of app can be taken back/)]);
  });
});

test('a dry run says what would happen, and nothing does', async () => {
  const host = hostOf();
  await host.json('backup');
  await host.json('restore', 'latest', '--into', 'restored');
  const session = await cluster.connect('app');
  try {
    const before = [await databasesOf(cluster), journalOf(host).length];
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
    expect([await databasesOf(cluster), journalOf(host).length]).toEqual(before);
  } finally {
    await session.end();
  }
});

test('replaced databases are kept by count, and dropped by name', async () => {
  const host = hostOf({ keepReplaced: { count: 2 } });
  await host.json('backup');
  const kept: string[] = [];
  for (let round = 0; round < 3; round++) {
    const { keptAs } = await host.json<Replaced>(...inPlace, '--no-safety-backup');
    kept.unshift(keptAs);
  }
  expect(await keptOf()).toEqual(kept.slice(0, 2).toSorted());
  const { items } = await host.json<{ items: { name: string; was: string }[] }>('restore', 'kept');
  expect(items.map(({ name, was }) => [name, was])).toEqual(kept.slice(0, 2).map((name) => [name, 'app']));

  await cluster.createDatabase('app_before_20200101_000000');
  const foreign = await host.run('restore', 'drop', 'app_before_20200101_000000', '--yes');
  expect([foreign.code, foreign.stderr]).toEqual([
    3,
    expect.stringMatching(/no database that a restore in place of app/),
  ]);
  const session = await cluster.connect(kept[1] ?? '');
  expect((await host.run('restore', 'drop', kept[1] ?? '', '--yes')).code).toBe(1);
  await session.end();
  await host.json('restore', 'drop', kept[1] ?? '', '--yes');
  expect(await keptOf()).toEqual(['app_before_20200101_000000', ...kept.slice(0, 1)].toSorted());
});
