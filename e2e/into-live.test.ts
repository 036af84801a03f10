import { writeFileSync } from 'node:fs';
import { startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AgentHost, during, type HostOptions } from './agent-host.ts';
import { databasesOf, journalOf } from './raw-state.ts';

/** Tables of a backup come into the live database: beside what is there, or in the place of its rows. */

let cluster: PostgresCluster;
const hosts: AgentHost[] = [];

beforeAll(async () => {
  cluster = await startPostgres();
}, 120_000);
afterAll(async () => {
  await cluster?.stop();
});

beforeEach(async () => {
  await cluster.createDatabase('app');
  await cluster.query(
    'app',
    `CREATE EXTENSION citext;
     CREATE SCHEMA shop; CREATE TYPE shop.mood AS ENUM ('good', 'bad');
     CREATE TABLE shop.people (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text NOT NULL, mood shop.mood, about json,
       wide text GENERATED ALWAYS AS (name || '!') STORED);
     INSERT INTO shop.people (name, mood, about) SELECT 'p' || n, CASE n % 2 WHEN 0 THEN 'good' ELSE 'bad' END::shop.mood, json_build_object('n', n)
       FROM generate_series(1, 100) AS n;
     CREATE TABLE shop.orders (id int PRIMARY KEY, person int REFERENCES shop.people, total numeric(8, 2));
     INSERT INTO shop.orders SELECT n, n, n * 1.5 FROM generate_series(1, 100) AS n;
     CREATE TABLE shop.codes (code citext PRIMARY KEY, at timestamptz, tags text[]);
     INSERT INTO shop.codes SELECT 'C' || n, '2026-01-01Z'::timestamptz + n * interval '1 hour', ARRAY[n::text, NULL] FROM generate_series(1, 50) AS n;
     CREATE TABLE shop.notes (note text);
     INSERT INTO shop.notes SELECT md5((n % 10)::text) FROM generate_series(1, 40) AS n;
     CREATE TABLE shop.parts (id int, kind text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
     CREATE TABLE shop.parts_a PARTITION OF shop.parts FOR VALUES IN ('a'); CREATE TABLE shop.parts_b PARTITION OF shop.parts DEFAULT;
     INSERT INTO shop.parts SELECT n, CASE n % 3 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 60) AS n;
     CREATE TABLE shop.fired (what text);
     CREATE FUNCTION shop.fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO shop.fired VALUES (TG_OP); RETURN NEW; END';
     CREATE TRIGGER fires AFTER INSERT OR UPDATE OR DELETE ON shop.people FOR EACH ROW EXECUTE FUNCTION shop.fires();
     CREATE TRIGGER still BEFORE INSERT ON shop.people FOR EACH ROW EXECUTE FUNCTION shop.fires();
     ALTER TABLE shop.people DISABLE TRIGGER still`,
  );
});
afterEach(async () => {
  for (const host of hosts.splice(0)) host.remove();
  const left = (await databasesOf(cluster)).filter((name) => name.startsWith('strideiq_'));
  await cluster.dropDatabase('app');
  if (left.length > 0) throw new Error(`a restore left ${left.join(', ')}`);
});

function hostOf(options: Partial<HostOptions> = {}): AgentHost {
  const host = new AgentHost({ cluster, database: 'app', ...options });
  hosts.push(host);
  return host;
}

const all = ['people', 'orders', 'codes', 'notes', 'parts'];
const named = (...tables: string[]) => tables.flatMap((table) => ['--table', `shop.${table}`]);

/** Every row of a table, as text. */
async function rowsOf(table: string): Promise<string[]> {
  const rows = await cluster.query<{ row: string }>('app', `SELECT t::text AS row FROM ${table} t ORDER BY 1`);
  return rows.map(({ row }) => row);
}

async function contents(schema = 'shop', tables = all): Promise<Record<string, string[]>> {
  return Object.fromEntries(
    await Promise.all(tables.map(async (table) => [table, await rowsOf(`${schema}.${table}`)])),
  );
}

const spoil = `
  UPDATE shop.people SET name = 'spoilt' WHERE id BETWEEN 10 AND 30; UPDATE shop.people SET about = '{}' WHERE id = 31;
  DELETE FROM shop.orders WHERE id > 90; UPDATE shop.orders SET total = 0 WHERE id < 5;
  INSERT INTO shop.people (name) VALUES ('new'); INSERT INTO shop.orders VALUES (500, 101, 1);
  UPDATE shop.codes SET tags = NULL WHERE code < 'c3'; UPDATE shop.codes SET code = 'c45' WHERE code = 'C45'; DELETE FROM shop.codes WHERE code = 'c40'; INSERT INTO shop.codes VALUES ('later');
  TRUNCATE shop.notes; INSERT INTO shop.notes VALUES ('other');
  DELETE FROM shop.parts WHERE id < 10; INSERT INTO shop.parts VALUES (999, 'a'), (998, 'z')`;

interface IntoLive {
  tables: { schema: string; name: string; rows: number; deleted?: number; updated?: number; inserted?: number }[];
  safetyBackupId?: string;
  notes: string[];
}

describe('into a schema of their own', () => {
  test('stand columns and rows as they were, and the live ones are untouched', async () => {
    const host = hostOf();
    await host.json('backup');
    const then = await contents();
    await cluster.query('app', spoil);
    const now = await contents();
    const { tables, notes } = await host.json<IntoLive>('restore', 'latest', ...named(...all), '--into-schema', 'then');
    expect(tables.map(({ schema, name, rows }) => [schema, name, rows])).toEqual(
      all.map((name) => ['then', name, then[name]?.length]),
    );
    expect(notes).toEqual([]);
    expect(await contents('"then"')).toEqual(then);
    expect(await contents()).toEqual(now);
    const { stdout } = await host.run('restore', 'latest', ...named('codes'), '--into-schema', 'again');
    expect(stdout).toMatch(/Restored from app_\S+\.sql\.gz in app in .* s\n {2}again\.codes: 50 rows\n/);
  });

  test('of a table that is gone since', async () => {
    const host = hostOf();
    await host.json('backup');
    const then = await contents('shop', ['orders']);
    await cluster.query('app', 'DROP TABLE shop.orders');
    await host.json('restore', 'latest', ...named('orders'), '--into-schema', 'then');
    expect(await contents('"then"', ['orders'])).toEqual(then);
  });

  test('is refused where the schema is there, and where a type is not', async () => {
    const host = hostOf();
    await host.json('backup');
    const into = async (schema: string, table: string) => {
      const { code, stderr } = await host.run('restore', 'latest', ...named(table), '--into-schema', schema);
      return [code, stderr];
    };
    expect(await into('shop', 'orders')).toEqual([1, expect.stringMatching(/already a schema "shop"/)]);
    await cluster.query('app', 'ALTER TABLE shop.people DROP COLUMN mood; DROP TYPE shop.mood');
    expect(await into('then', 'people')).toEqual([1, expect.stringMatching(/type "shop\.mood" does not exist/)]);
    expect(await cluster.query('app', "SELECT FROM pg_namespace WHERE nspname = 'then'")).toEqual([]);
  });
});

describe('in the place of the rows', () => {
  const replace = ['--replace-rows', '--yes'] as const;

  test('are the backup’s; what is the same stays, and triggers are still', async () => {
    const host = hostOf();
    await host.json('backup');
    const then = await contents();
    await cluster.query('app', `${spoil}; DELETE FROM shop.fired`);
    const { tables, safetyBackupId } = await host.json<IntoLive>('restore', 'latest', ...named(...all), ...replace);
    expect(await contents()).toEqual(then);
    expect(await rowsOf('shop.fired')).toEqual([]);
    expect(
      Object.fromEntries(tables.map(({ name, deleted, updated, inserted }) => [name, [deleted, updated, inserted]])),
    ).toEqual({
      people: [1, 22, 0],
      orders: [1, 4, 10],
      codes: [1, 23, 1],
      notes: [1, 0, 40],
      parts: [2, 0, 9],
    });
    expect(safetyBackupId).toEqual(expect.any(String));
    // They fire again, and the one that did not still does not.
    await cluster.query('app', "INSERT INTO shop.people (name) VALUES ('next')");
    expect(await rowsOf('shop.fired')).toEqual(['(INSERT)']);
    // Numbers that were given out are not given out again.
    const [row] = await cluster.query<{ id: number }>('app', 'SELECT max(id) AS id FROM shop.people');
    expect(row?.id).toBe(102);
  });

  test('of one that others refer to, whose rows stay', async () => {
    const host = hostOf();
    await host.json('backup');
    const then = await contents('shop', ['people']);
    await cluster.query('app', "UPDATE shop.people SET name = 'spoilt'; DELETE FROM shop.orders WHERE person > 50");
    const orders = await contents('shop', ['orders']);
    await host.json('restore', 'latest', ...named('people'), ...replace, '--no-safety-backup');
    expect(await contents('shop', ['people'])).toEqual(then);
    expect(await contents('shop', ['orders'])).toEqual(orders);
  });

  test('while others read, and whoever writes waits', async () => {
    const host = hostOf();
    await host.json('backup');
    await cluster.query('app', 'UPDATE shop.orders SET total = 0');
    const writer = await cluster.connect('app');
    try {
      await writer.query('BEGIN; UPDATE shop.orders SET total = 1 WHERE id = 1');
      const agent = host.start('restore', 'latest', ...named('orders'), ...replace, '--no-safety-backup');
      await during(agent, 'it to wait for the writer', async () => isLocking());
      expect(await rowsOf('shop.orders')).toContain('(7,7,0.00)');
      await writer.query('COMMIT');
      expect(await agent.result).toMatchObject({ code: 0 });
    } finally {
      await writer.end();
    }
    expect(await rowsOf('shop.orders')).toContain('(1,1,1.50)');
  });

  test.each([
    [
      'a column was added',
      'ALTER TABLE shop.orders ADD COLUMN more int',
      'orders',
      /orders are not what they were.*more was added/,
    ],
    [
      'a column has another type',
      'ALTER TABLE shop.orders ALTER total TYPE text',
      'orders',
      /total was numeric\(8,2\) and is text/,
    ],
    ['the table is gone', 'DROP TABLE shop.notes', 'notes', /no table shop\.notes/],
    [
      'rows of other tables would go with them',
      'ALTER TABLE shop.orders DROP CONSTRAINT orders_person_fkey, ADD FOREIGN KEY (person) REFERENCES shop.people ON DELETE CASCADE; INSERT INTO shop.people (name) VALUES (1)',
      'people',
      /1 rows of shop\.people are not as in the backup.*orders_person_fkey of shop\.orders/,
    ],
    [
      'other tables need rows that the backup does not have',
      "INSERT INTO shop.people (name) VALUES ('new'); INSERT INTO shop.orders VALUES (500, 101, 1)",
      'people',
      /violates foreign key constraint "orders_person_fkey" on table "orders"/,
    ],
    [
      'writes become something else',
      'CREATE RULE never AS ON DELETE TO shop.notes DO INSTEAD NOTHING',
      'notes',
      /has rules/,
    ],
  ])('is refused where %s', async (_, sql, table, why) => {
    const host = hostOf();
    await host.json('backup');
    await cluster.query('app', sql);
    const left = all.filter((name) => name !== table);
    const before = await contents('shop', left);
    const { code, stderr } = await host.run('restore', 'latest', ...named(table), ...replace, '--no-safety-backup');
    expect([code === 0, stderr]).toEqual([false, expect.stringMatching(why)]);
    expect(await contents('shop', left)).toEqual(before);
  });

  test('what is tangled comes out as it was', async () => {
    await cluster.query(
      'app',
      `CREATE TABLE shop.staff (id int PRIMARY KEY, boss int REFERENCES shop.staff DEFERRABLE INITIALLY DEFERRED, email text UNIQUE, label text);
       INSERT INTO shop.staff SELECT n, nullif(n / 2, 0), 'm' || n, 'l' || n FROM generate_series(1, 20) AS n;
       CREATE TABLE shop.seats (seat int PRIMARY KEY, staff int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED REFERENCES shop.staff (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
       INSERT INTO shop.seats SELECT n, n FROM generate_series(1, 20) AS n;
       CREATE TABLE shop.dust (id int PRIMARY KEY, seat int REFERENCES shop.seats ON DELETE CASCADE);
       INSERT INTO shop.dust SELECT n, n FROM generate_series(1, 20) AS n;
       CREATE TABLE shop.tickets (id bigserial PRIMARY KEY, code text UNIQUE, what text);
       ALTER SEQUENCE shop.tickets_id_seq MINVALUE 1000 START 1000 RESTART 1000;
       INSERT INTO shop.tickets (code, what) SELECT 'c' || n, 'w' || n FROM generate_series(1, 10) AS n;
       CREATE TRIGGER fires AFTER UPDATE ON shop.staff FOR EACH ROW EXECUTE FUNCTION shop.fires();
       CREATE TRIGGER fires_a AFTER DELETE ON shop.parts_a FOR EACH ROW EXECUTE FUNCTION shop.fires();
       CREATE TRIGGER fires_all AFTER DELETE ON shop.parts FOR EACH ROW EXECUTE FUNCTION shop.fires();
       ALTER TABLE shop.parts_b DISABLE TRIGGER fires_all`,
    );
    const tables = ['staff', 'seats', 'tickets', 'parts'];
    const host = hostOf();
    await host.json('backup');
    const then = await contents('shop', [...tables, 'dust']);
    const states =
      'SELECT tgrelid::regclass::text AS table, tgname AS name, tgenabled AS state FROM pg_trigger WHERE NOT tgisinternal OR tgparentid <> 0 ORDER BY 1, 2';
    const triggers = await cluster.query('app', states);
    await cluster.query(
      'app',
      `INSERT INTO shop.staff VALUES (100, 1, 'new', 'l'); UPDATE shop.staff SET boss = 100 WHERE id IN (3, 4); DELETE FROM shop.staff WHERE id = 20;
       UPDATE shop.seats SET staff = 100 WHERE seat = 5;
       BEGIN; UPDATE shop.tickets SET code = code || 'x' WHERE code IN ('c1', 'c2');
       UPDATE shop.tickets SET code = CASE code WHEN 'c1x' THEN 'c2' ELSE 'c1' END WHERE code IN ('c1x', 'c2x'); COMMIT;
       DELETE FROM shop.parts WHERE id < 20; DELETE FROM shop.fired`,
    );
    await cluster.query('app', 'INSERT INTO shop.dust VALUES (50, 5)');
    const dust = await contents('shop', ['dust']);
    await host.json('restore', 'latest', ...named(...tables), ...replace, '--no-safety-backup');
    expect(await contents('shop', tables)).toEqual(Object.fromEntries(tables.map((table) => [table, then[table]])));
    expect(await contents('shop', ['dust'])).toEqual(dust);
    expect(await cluster.query('app', states)).toEqual(triggers);
    expect(await rowsOf('shop.fired')).toEqual([]);
    await cluster.query('app', "INSERT INTO shop.tickets (code) VALUES ('next')");
  });

  test('rows that no backup holds are never emptied', async () => {
    const host = hostOf({ dump: { excludeTableData: ['shop.notes', 'shop.parts_a'] } });
    await host.json('backup');
    for (const table of ['notes', 'parts']) {
      const before = await contents('shop', [table]);
      const { code, stderr } = await host.run('restore', 'latest', ...named(table), ...replace, '--no-safety-backup');
      expect([code, stderr]).toEqual([3, expect.stringMatching(/holds no rows of shop\.(?:notes|parts_a)/)]);
      expect(await contents('shop', [table])).toEqual(before);
    }
  });

  test('nor are rows of others changed by a key that follows', async () => {
    await cluster.query(
      'app',
      `ALTER TABLE shop.people ADD UNIQUE (name);
       CREATE TABLE shop.audit (name text REFERENCES shop.people (name) ON UPDATE CASCADE); INSERT INTO shop.audit VALUES ('p7')`,
    );
    const host = hostOf();
    await host.json('backup');
    await cluster.query('app', "UPDATE shop.people SET name = 'renamed' WHERE id = 7");
    const { code, stderr } = await host.run('restore', 'latest', ...named('people'), ...replace, '--no-safety-backup');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/audit_name_fkey of shop\.audit/)]);
    expect(await rowsOf('shop.audit')).toEqual(['(renamed)']);
  });

  test('killed before its transaction has ended it has changed nothing; after that it is done', async () => {
    const host = hostOf();
    const { backupId } = await host.json<{ backupId: string }>('backup');
    const then = await contents('shop', ['orders']);
    await cluster.query('app', 'UPDATE shop.orders SET total = 0');
    const now = await contents('shop', ['orders']);
    const asked = ['restore', backupId, ...named('orders'), ...replace, '--no-safety-backup'];
    const [holder, stopper] = [await cluster.connect('app'), await cluster.connect('postgres')];
    try {
      await holder.query('BEGIN; LOCK TABLE shop.orders IN EXCLUSIVE MODE');
      const first = host.start(...asked);
      await during(first, 'it to wait for the lock', async () => isLocking());
      first.process.kill('SIGKILL');
      await first.result;
      await holder.query('ROLLBACK');
      await host.json('backup');
      expect(await contents('shop', ['orders'])).toEqual(now);
      expect(journalOf(host).findLast(({ kind }) => kind === 'restore')).toMatchObject({ state: 'failed' });

      await holder.query('BEGIN; LOCK TABLE shop.orders IN EXCLUSIVE MODE');
      const second = host.start(...asked);
      await during(second, 'it to wait for the lock', async () => isLocking());
      // It cannot drop its scratch database, and so not end.
      await stopper.query('BEGIN; LOCK TABLE pg_catalog.pg_database IN SHARE MODE');
      await holder.query('ROLLBACK');
      await during(second, 'it to have committed', async () => (await rowsOf('shop.orders')).includes('(7,7,10.50)'));
      second.process.kill('SIGKILL');
      await second.result;
      await stopper.query('ROLLBACK');
      await host.json('backup');
      expect(await contents('shop', ['orders'])).toEqual(then);
      const run = journalOf(host).findLast(({ kind }) => kind === 'restore');
      expect(run).toMatchObject({ state: 'succeeded' });
    } finally {
      await Promise.all([holder.end(), stopper.end()]);
    }
  });
});

/** Whether the agent waits for the live tables. */
async function isLocking(): Promise<boolean> {
  const sql = "SELECT FROM pg_stat_activity WHERE query LIKE 'LOCK TABLE ONLY%' AND wait_event_type = 'Lock'";
  return (await cluster.query('postgres', sql)).length > 0;
}

test.each([
  [['--into-schema', 'then'], /--into-schema was given without --table/],
  [['--replace-rows', '--yes', '--schema-only'], /--replace-rows was given without --table/],
  [['--table', 'shop.orders', '--replace-rows', '--into-schema', 'x'], /--into-schema stands beside --replace-rows/],
  [['--table', 'shop.orders', '--replace-rows'], /has to be confirmed, and there is no terminal/],
])('%j is a mistake', async (options, why) => {
  const host = hostOf();
  await host.json('backup');
  const { code, stderr } = await host.run('restore', 'latest', ...options);
  expect([code, stderr]).toEqual([2, expect.stringMatching(why)]);
});

test('rows of a dump without a manifest do not go into a live database', async () => {
  const host = hostOf();
  const { stdout } = await cluster.runClient('pg_dump', ['-d', 'app']);
  writeFileSync(host.path('old.sql'), stdout);
  const asked = ['restore', host.path('old.sql'), ...named('orders'), '--into-schema', 'then', '--trust-source'];
  const { code, stderr } = await host.run(...asked);
  expect([code, stderr]).toEqual([1, expect.stringMatching(/no manifest that could be read/)]);
  await waitFor('nothing of it', async () =>
    (await databasesOf(cluster)).every((name) => !name.startsWith('strideiq_')),
  );
});

test('what a host masks in restores of another environment does not come in beside them', async () => {
  const production = hostOf({ environment: 'production' });
  await production.json('backup');
  const [dump = ''] = production.files().filter((name) => /^app_\d+_\d+\.sql\.gz$/.test(name));
  const staging = hostOf({ environment: 'staging', hooks: { afterRestore: ['true'] } });
  const asked = ['restore', production.path(dump), ...named('people'), '--into-schema', 'then', '--trust-source'];
  const { code, stderr } = await staging.run(...asked, '--database', 'app');
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/of environment production, whose rows hooks\.afterRestore/),
  ]);
  expect(await cluster.query('app', "SELECT FROM pg_namespace WHERE nspname = 'then'")).toEqual([]);
});
