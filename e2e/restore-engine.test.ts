import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createOddDatabase,
  createSampleDatabase,
  fingerprint,
  schemaText,
  startPostgres,
  type Major,
  type PostgresCluster,
} from '@strideiq/testkit';
import { AgentHost, during } from './agent-host.ts';
import { restoreByStockTools } from './dump-text.ts';

/** What goes wrong where several sessions do at once what pg_dump wrote down for one. */
const tangled = `
  SET allow_in_place_tablespaces = on;
  CREATE TABLESPACE "of; its own" LOCATION '';
  -- Keys that refer to one another: each locks both tables.
  CREATE TABLE hen (id int PRIMARY KEY, egg int, note text);
  CREATE TABLE egg (id int PRIMARY KEY, hen int REFERENCES hen, note text);
  INSERT INTO hen SELECT n, n, md5(n::text) FROM generate_series(1, 30000) AS n;
  INSERT INTO egg SELECT n, n, md5(n::text) FROM generate_series(1, 30000) AS n;
  ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg DEFERRABLE, ADD FOREIGN KEY (id) REFERENCES hen, ADD UNIQUE (egg);
  CREATE INDEX ON hen (note); CREATE INDEX ON hen (note DESC, id); CREATE INDEX ON egg USING hash (note);
  -- Large enough for chunks of their own; the child comes first, and its parent is emptied before it is filled.
  CREATE TABLE parent (id int, note text);
  ALTER TABLE parent ALTER note SET STORAGE EXTERNAL;
  CREATE TABLE child () INHERITS (parent);
  ALTER TABLE child ALTER note SET STORAGE EXTERNAL;
  INSERT INTO child SELECT n, repeat(md5(n::text), 500) FROM generate_series(1, 1500) AS n;
  INSERT INTO parent SELECT n, repeat(md5(n::text), 500) FROM generate_series(1, 2500) AS n;
  ALTER TABLE parent ADD PRIMARY KEY (id);
  -- An index whose function looks into another table, which has to be full by then.
  CREATE TABLE z_word (id int PRIMARY KEY, word text NOT NULL);
  INSERT INTO z_word SELECT n, md5(n::text) FROM generate_series(0, 99) AS n;
  CREATE FUNCTION word_of(id int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    'DECLARE found text; BEGIN SELECT word INTO STRICT found FROM public.z_word w WHERE w.id = $1; RETURN found; END';
  CREATE TABLE a_text AS SELECT n % 100 AS word FROM generate_series(1, 1000) AS n;
  CREATE INDEX by_word ON a_text (word_of(word));
  -- One index of several that lies elsewhere.
  CREATE TABLE placed AS SELECT n AS a, n AS b, n AS c FROM generate_series(1, 5000) AS n;
  CREATE INDEX placed_a ON placed (a); CREATE INDEX placed_b ON placed (b) TABLESPACE "of; its own"; CREATE INDEX placed_c ON placed (c);
  -- Partitions below partitions, with a key of another table to them and one of theirs to another.
  CREATE TABLE tree (id int, kind text, hen int REFERENCES hen, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
  CREATE TABLE tree_a PARTITION OF tree FOR VALUES IN ('a') PARTITION BY RANGE (id);
  CREATE TABLE tree_a_1 PARTITION OF tree_a FOR VALUES FROM (0) TO (5000);
  CREATE TABLE tree_a_2 PARTITION OF tree_a FOR VALUES FROM (5000) TO (20000);
  CREATE TABLE tree_b PARTITION OF tree DEFAULT;
  INSERT INTO tree SELECT n, CASE n % 3 WHEN 0 THEN 'b' ELSE 'a' END, n FROM generate_series(1, 15000) AS n;
  CREATE INDEX ON tree (hen);
  CREATE TABLE leaf AS SELECT id, kind FROM tree WHERE id % 7 = 0;
  ALTER TABLE leaf ADD FOREIGN KEY (id, kind) REFERENCES tree;
  -- A trigger that would change rows, a rule, a view of another's making, and values that count on.
  CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := ''spoilt''; RETURN NEW; END';
  CREATE TRIGGER spoil BEFORE INSERT ON hen FOR EACH ROW EXECUTE FUNCTION spoil();
  CREATE MATERIALIZED VIEW seen AS SELECT count(*) AS hens FROM hen;
  CREATE UNIQUE INDEX ON seen (hens);
  COMMENT ON INDEX placed_b IS 'elsewhere';
  ALTER TABLE egg CLUSTER ON egg_pkey; ALTER TABLE egg REPLICA IDENTITY USING INDEX egg_pkey;
  CREATE SEQUENCE numbers; SELECT setval('numbers', 4711);
  SELECT lo_from_bytea(815, 'large'); COMMENT ON LARGE OBJECT 815 IS 'one';`;

let cluster: PostgresCluster;
beforeAll(async () => {
  cluster = await startPostgres();
  await createSampleDatabase(cluster, 'running_app', { scaleMb: 20 });
  await createOddDatabase(cluster, 'odd');
  await cluster.createDatabase('tangled');
  // The tablespace cannot be made within the transaction of several statements.
  const [settings = '', space = '', ...rest] = tangled.split(';\n');
  const client = await cluster.connect('tangled');
  await client.query(settings);
  await client.query(space);
  await client.query(rest.join(';\n'));
  await client.end();
});
afterAll(async () => {
  await cluster.stop();
});

async function databases(): Promise<string[]> {
  const rows = await cluster.query<{ name: string }>('postgres', 'SELECT datname AS name FROM pg_database');
  return rows.map(({ name }) => name);
}

describe.each(['running_app', 'odd', 'tangled'])('the backup of %s', (database) => {
  let host: AgentHost;
  const stock = `${database}_stock`;
  beforeAll(async () => {
    host = new AgentHost({ cluster, database });
    const { name } = await host.json<{ name: string }>('backup');
    await restoreByStockTools(cluster, host.path(name), stock);
  });
  afterAll(() => {
    host.remove();
  });

  it.each([1, 2, 4])('restores over %i sessions to what gunzip and psql make of it', async (jobs) => {
    const into = `${database}_${jobs}`;
    await host.json('restore', 'latest', '--into', into, '--jobs', String(jobs));
    expect(await schemaText(cluster, into)).toBe(await schemaText(cluster, stock));
    expect(await fingerprint(cluster, into)).toEqual(await fingerprint(cluster, stock));
    await cluster.dropDatabase(into);
  });
});

describe('when one of the sessions fails', () => {
  let host: AgentHost;
  beforeAll(async () => {
    // In any other database than its own one table is refused, and another takes for ever.
    await cluster.createDatabase('fails');
    await cluster.query(
      'fails',
      `CREATE FUNCTION at_home() RETURNS boolean LANGUAGE sql AS 'SELECT current_database() = ''fails''';
       CREATE FUNCTION waits() RETURNS boolean LANGUAGE plpgsql AS
         'BEGIN IF NOT public.at_home() THEN PERFORM pg_sleep(3600); END IF; RETURN true; END';
       CREATE TABLE refused (id int, note text, CONSTRAINT home CHECK (id <> 2000 OR at_home()));
       ALTER TABLE refused ALTER note SET STORAGE EXTERNAL;
       CREATE TABLE slow (id int CHECK (waits()), note text);
       ALTER TABLE slow ALTER note SET STORAGE EXTERNAL;
       INSERT INTO refused SELECT n, repeat(md5(n::text), 300) FROM generate_series(1, 3000) AS n;
       INSERT INTO slow SELECT n, repeat(md5(n::text), 400) FROM generate_series(1, 3000) AS n;`,
    );
    host = new AgentHost({ cluster, database: 'fails' });
    await host.json('backup');
  });
  afterAll(() => {
    host.remove();
  });

  const sessions = async (where: string) =>
    cluster.query<{ pid: number }>(
      'postgres',
      `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'strideiq-restore-%' AND ${where}`,
    );

  it('the others end at once, and statement, table and line are told', async () => {
    const { code, stderr } = await host.run('restore', 'latest', '--into', 'never', '--jobs', '2');
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/refused `COPY public\.refused`: .*violates check constraint.*COPY refused, line 2000/),
    ]);
    expect(await databases()).not.toContainEqual(expect.stringMatching(/never|strideiq_restore/));
    expect(await sessions('true')).toEqual([]);
  });

  it('as its connection is cut, it is told, and nothing is left', async () => {
    await cluster.query('fails', 'ALTER TABLE refused DROP CONSTRAINT home');
    await host.json('backup');
    const agent = host.start('restore', 'latest', '--into', 'never', '--jobs', '2');
    const [victim] = await during(agent, 'a worker that loads', async () => {
      const found = await sessions("query LIKE 'COPY public.slow%' AND wait_event = 'PgSleep'");
      return found.length > 0 ? found : undefined;
    });
    await cluster.query('postgres', 'SELECT pg_terminate_backend($1)', [victim?.pid]);
    const { code, stderr } = await agent.result;
    expect([code, stderr]).toEqual([1, expect.stringMatching(/COPY public\.slow.*terminating connection/)]);
    expect(await databases()).not.toContainEqual(expect.stringMatching(/never|strideiq_restore/));
  });
});

describe('the statistics of the planner', () => {
  it('are there for every table, each gathered once, unless they are not wanted', async () => {
    const source = `
      CREATE TABLE large (id int PRIMARY KEY, note text);
      INSERT INTO large SELECT n, repeat(md5(n::text), 40) FROM generate_series(1, 30000) AS n;
      CREATE INDEX ON large (lower(left(note, 8)));
      CREATE TABLE small AS SELECT generate_series(1, 500) AS id;`;
    await cluster.createDatabase('counted');
    await cluster.query('counted', source);
    const host = new AgentHost({ cluster, database: 'counted' });
    // Autovacuum, which may come at any time, counts for itself.
    const gathered = async (database: string) =>
      cluster.query(
        database,
        'SELECT relname AS name, analyze_count::int AS times FROM pg_stat_user_tables ORDER BY 1',
      );
    try {
      await host.json('backup');
      await host.json('restore', 'latest', '--into', 'analyzed');
      await host.json('restore', 'latest', '--into', 'bare', '--no-analyze');
      const times = (count: number) => ['large', 'small'].map((name) => ({ name, times: count }));
      expect([await gathered('analyzed'), await gathered('bare')]).toEqual([times(1), times(0)]);
      const looked = await cluster.query(
        'analyzed',
        'SELECT tablename AS table, count(*)::int AS columns FROM pg_stats WHERE schemaname = $$public$$ GROUP BY 1 ORDER BY 1',
      );
      expect(looked).toEqual([
        { table: 'large', columns: 2 },
        { table: 'large_lower_idx', columns: 1 },
        { table: 'small', columns: 1 },
      ]);
    } finally {
      host.remove();
    }
  });
});

describe.each<Major>([14, 15, 16, 17, 18])('a dump of pg_dump for PostgreSQL %i, which has no index', (major) => {
  it('is restored with its post-data over several sessions', async () => {
    const server = await startPostgres({ major });
    const host = new AgentHost({ cluster: server, database: 'app' });
    try {
      await createSampleDatabase(server, 'app', { scaleMb: 1 });
      const { stdout } = await server.runClient('pg_dump', ['-d', 'app']);
      writeFileSync(host.path('app_20250131_030000.sql.gz'), gzipSync(stdout));
      await host.json('restore', 'app_20250131_030000', '--into', 'old', '--trust-source', '--jobs', '3');
      expect(await fingerprint(server, 'old')).toEqual(await fingerprint(server, 'app'));
    } finally {
      host.remove();
      await server.stop();
    }
  });
});
