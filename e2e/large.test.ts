import { createHash } from 'node:crypto';
import { startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentHost } from './agent-host.ts';
import { mostBytes, peakBytes } from './peak-memory.ts';
import { long } from './seeded-random.ts';

/** Databases of unusual shape, whole: backup, full read-back, restore. The long form alone has the time for them. */

const minutes = 60_000;

describe.runIf(long)('a database', () => {
  let cluster: PostgresCluster;
  let host: AgentHost | undefined;

  beforeAll(async () => {
    cluster = await startPostgres({ settings: { max_locks_per_transaction: 256 } });
  });
  afterAll(async () => {
    host?.remove();
    await cluster?.stop();
  });

  async function newHost(database: string): Promise<AgentHost> {
    host?.remove();
    await cluster.createDatabase(database);
    host = new AgentHost({ cluster, database, dump: { jobs: 2 } });
    return host;
  }

  /** @returns the peaks of all three, none of which may be too much */
  async function backUpAndRestore(host: AgentHost): Promise<void> {
    const peaks = {
      backup: await peakBytes(host, 'backup'),
      verify: await peakBytes(host, 'verify', 'latest'),
      restore: await peakBytes(host, 'restore', 'latest', '--into', `${host.database}_restored`),
    };
    console.log(host.database, peaks);
    expect(Object.values(peaks).filter((bytes) => bytes > mostBytes)).toEqual([]);
  }

  test(
    'of 10,000 small tables comes back whole, and how long it takes beside pg_dump is told',
    async () => {
      const host = await newHost('many');
      // In pieces, since one transaction would need as many locks.
      for (let from = 1; from <= 10_000; from += 1000) {
        await cluster.query(
          'many',
          `DO $$ BEGIN FOR n IN ${from} .. ${from + 999} LOOP
             EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, said text); INSERT INTO t%s SELECT i, md5(i::text) FROM generate_series(1, 10) AS i', n, n);
           END LOOP; END $$`,
        );
      }
      const ratios: number[] = [];
      for (let round = 0; round < 3; round++) {
        const start = performance.now();
        await cluster.runClient('pg_dump', ['--file', '/dev/null', 'many']);
        const between = performance.now();
        await host.json('backup');
        ratios.push((performance.now() - between) / (between - start));
      }
      console.log('10,000 tables, backup to pg_dump', ratios);
      await backUpAndRestore(host);
      const sql = `SELECT count(*)::int AS n FROM pg_index WHERE indisprimary AND indrelid::regclass::text ~ '^t[0-9]+$'`;
      expect(await cluster.query('many_restored', sql)).toEqual([{ n: 10_000 }]);
    },
    30 * minutes,
  );

  test(
    'with a table of 100 million narrow rows',
    async () => {
      const host = await newHost('narrow');
      await cluster.query('narrow', 'CREATE TABLE tick AS SELECT i % 10 AS n FROM generate_series(1, 100000000) AS i');
      await backUpAndRestore(host);
      const sql = 'SELECT n, count(*)::int FROM tick GROUP BY n ORDER BY n';
      expect(await cluster.query('narrow_restored', sql)).toEqual(await cluster.query('narrow', sql));
    },
    30 * minutes,
  );

  test(
    'with a single value of 500 MB',
    async () => {
      const host = await newHost('wide');
      await cluster.query(
        'wide',
        `CREATE TABLE recording (id int, content bytea);
         ALTER TABLE recording ALTER content SET STORAGE EXTERNAL;
         INSERT INTO recording
         SELECT 1, string_agg(sha512(i::text::bytea), ''::bytea) FROM generate_series(1, 500000000 / 64) AS i`,
      );
      await backUpAndRestore(host);
      const sql = `SELECT encode(sha256(content), 'hex') AS hash, length(content) AS bytes FROM recording`;
      const hash = createHash('sha256');
      for (let i = 1; i <= 500_000_000 / 64; i++) hash.update(createHash('sha512').update(String(i)).digest());
      const expected = [{ hash: hash.digest('hex'), bytes: 500_000_000 }];
      expect(await cluster.query('wide_restored', sql)).toEqual(expected);
    },
    30 * minutes,
  );
});
