import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PostgresCluster } from '../postgres/cluster.ts';
import { startPostgres } from '../postgres/start.ts';
import { fingerprint } from './fingerprint.ts';
import { schemaText } from './schema-text.ts';

const made = `
  CREATE TABLE pair (a text, b text, dropped int);
  ALTER TABLE pair DROP COLUMN dropped;
  INSERT INTO pair VALUES ('1', 'x'), ('2', 'y'), (NULL, ''), ('long', repeat('ü', 100000));
  CREATE TABLE child () INHERITS (pair);
  INSERT INTO child VALUES ('c', 'd');
  CREATE TABLE root (id int) PARTITION BY LIST (id);
  CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1);
  INSERT INTO root VALUES (1);
  CREATE TYPE mood AS ENUM ('a', 'b', 'c', 'd');
  CREATE TABLE dealt (mood mood, n int) PARTITION BY LIST (n);
  CREATE TABLE dealt_1 PARTITION OF dealt FOR VALUES IN (1) PARTITION BY HASH (mood);
  CREATE TABLE dealt_1_all PARTITION OF dealt_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
  CREATE TABLE dealt_rest PARTITION OF dealt DEFAULT;
  INSERT INTO dealt SELECT unnest(enum_range(NULL::mood)), 1 UNION ALL VALUES ('a'::mood, 2);
  CREATE SEQUENCE counter;
  CREATE MATERIALIZED VIEW seen AS SELECT a FROM ONLY pair;
  SELECT lo_from_bytea(70001, 'sound');
  CREATE TABLE "nothing; --" ();
  INSERT INTO "nothing; --" DEFAULT VALUES;
`;

describe('fingerprint', () => {
  let cluster: PostgresCluster;
  beforeAll(async () => {
    cluster = await startPostgres();
    await cluster.createDatabase('first');
    await cluster.query('first', made);
  });
  afterAll(async () => {
    await cluster.stop();
  });

  it('names every relation that holds rows, each with its own', async () => {
    const found = await fingerprint(cluster, 'first');
    const rows = Object.fromEntries(Object.entries(found.tables).map(([name, table]) => [name, table.rows]));
    const expected = {
      'public.pair': 4,
      'public.child': 1,
      'public.leaf': 1,
      // Whichever partitions the enum's hashes chose; what lies beside them is counted there and for itself.
      'public.dealt': 5,
      'public.dealt_rest': 1,
      'public.seen': 4,
      'public."nothing; --"': 1,
    };
    expect(rows).toEqual(expected);
    expect(found.sequences).toEqual({ 'public.counter': '1/false' });
    expect(Object.keys(found.largeObjects)).toEqual(['70001']);
  });

  it('is the same for the same rows in another order', async () => {
    await cluster.createDatabase('second', { template: 'first' });
    await cluster.query('second', "UPDATE pair SET b = b WHERE a = '1'");
    expect(await cluster.query('second', 'TABLE ONLY pair')).not.toEqual(
      await cluster.query('first', 'TABLE ONLY pair'),
    );
    expect(await fingerprint(cluster, 'second')).toEqual(await fingerprint(cluster, 'first'));
  });

  it.each([
    ['a value changes', "UPDATE pair SET b = 'z' WHERE a = '1'"],
    [
      'two rows swap the values of one column',
      "UPDATE ONLY pair SET b = CASE a WHEN '1' THEN 'y' ELSE 'x' END WHERE a IN ('1', '2')",
    ],
    ['NULL becomes an empty string', "UPDATE pair SET a = '' WHERE a IS NULL"],
    ['a row is there twice', "INSERT INTO pair VALUES ('1', 'x')"],
    [
      'a row moves to a child',
      "INSERT INTO child SELECT * FROM ONLY pair WHERE a = '1'; DELETE FROM ONLY pair WHERE a = '1'",
    ],
    ['the end of a long value changes', "UPDATE pair SET b = b || '.' WHERE a = 'long'"],
    ['a sequence moves on', "SELECT nextval('counter')"],
    ['a large object changes', "SELECT lo_put(70001, 4, 'x')"],
    ['a large object is there no more', 'SELECT lo_unlink(70001)'],
    ['a partition loses its row', 'DELETE FROM root'],
    ['an empty row goes', 'DELETE FROM "nothing; --"'],
  ])('differs where %s', async (_, change) => {
    await cluster.dropDatabase('changed');
    await cluster.createDatabase('changed', { template: 'first' });
    await cluster.query('changed', change);
    expect(await fingerprint(cluster, 'changed')).not.toEqual(await fingerprint(cluster, 'first'));
  });
});

describe('schemaText', () => {
  it('is the same twice, differs with the schema, and holds no line of the run', async () => {
    const cluster = await startPostgres();
    try {
      await cluster.query('postgres', 'CREATE TABLE t (a int)');
      const text = await schemaText(cluster, 'postgres');
      expect(text).toContain('CREATE TABLE public.t');
      expect(text).not.toMatch(/^\\|Dumped/m);
      expect(await schemaText(cluster, 'postgres')).toBe(text);
      await cluster.query('postgres', 'ALTER TABLE t ADD b int');
      expect(await schemaText(cluster, 'postgres')).not.toBe(text);
    } finally {
      await cluster.stop();
    }
  });
});
