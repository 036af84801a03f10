import { join } from 'node:path';
import { createSampleDatabase, startPostgres, startS3 } from '@strideiq/testkit';
import type { PostgresCluster, S3Server } from '@strideiq/testkit';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentHost } from './agent-host.ts';
import { mostBytes, peakBytes } from './peak-memory.ts';
import { rawBucket } from './raw-state.ts';
import { long } from './seeded-random.ts';

let cluster: PostgresCluster;
let s3: S3Server;
const hosts: AgentHost[] = [];

beforeAll(async () => {
  [cluster, s3] = await Promise.all([startPostgres(), startS3({ memoryBytes: 6 * 1024 ** 3 })]);
}, 120_000);

afterAll(async () => {
  for (const host of hosts) host.remove();
  await Promise.all([cluster?.stop(), s3?.stop()]);
});

async function newHost(database: string, stores = ['local', 's3']): Promise<AgentHost> {
  const bucket = bucketOf(database);
  await s3.createBucket(bucket);
  const dump = { jobs: 2 };
  const host = new AgentHost({ cluster, database, stores, dump, s3: { server: s3, endpoint: s3.endpoint, bucket } });
  hosts.push(host);
  return host;
}

const bucketOf = (database: string) => `memory-${database}`;

/** A database with one value of 60 MB. */
async function createWide(database: string): Promise<void> {
  await cluster.createDatabase(database);
  // Random, so that it does not compress to nothing.
  await cluster.query(
    database,
    `CREATE TABLE fit_file (id int, content bytea);
     INSERT INTO fit_file
     SELECT 1, string_agg(sha512(i::text::bytea), ''::bytea) FROM generate_series(1, 60 * 1024 * 1024 / 64) AS i`,
  );
}

/** Backup to directory and S3, verify of both, restore: those of them that took too much, with their peak. */
async function tooLarge(host: AgentHost): Promise<Record<string, number>> {
  const peaks = {
    backup: await peakBytes(host, 'backup'),
    verify: await peakBytes(host, 'verify', 'latest'),
    restore: await peakBytes(host, 'restore', 'latest', '--into', `${host.database}_restored`),
  };
  console.log(host.database, peaks);
  return Object.fromEntries(Object.entries(peaks).filter(([, bytes]) => bytes > mostBytes));
}

test(
  `${long ? 2000 : 150} MB of SQL`,
  async () => {
    await createSampleDatabase(cluster, 'large', { scaleMb: long ? 2000 : 150 });
    expect(await tooLarge(await newHost('large'))).toEqual({});
  },
  long ? 1_800_000 : 180_000,
);

test('one value of 60 MB, which is a line of 120 MB in the dump', async () => {
  await createWide('wide');
  expect(await tooLarge(await newHost('wide'))).toEqual({});
}, 180_000);

test.runIf(long)(
  'verify of 3 GB of SQL that come out of 10 MB, as fast as they can',
  async () => {
    await cluster.createDatabase('dense');
    await cluster.query(
      'dense',
      `CREATE TABLE note AS SELECT i AS id, repeat(md5(i::text), 1000) AS content FROM generate_series(1, 94000) AS i`,
    );
    const host = await newHost('dense');
    await host.json('backup');
    const peak = await peakBytes(host, 'verify', 'latest');
    console.log('dense', { verify: peak });
    expect(peak).toBeLessThan(mostBytes);
  },
  900_000,
);

test('an S3 upload in the parts that an object of 100 GB takes', async () => {
  await createWide('foreseen');
  const host = await newHost('foreseen', ['s3']);
  const { compressor } = await host.json<{ compressor: string }>('backup');
  const journal = new Database(join(host.stateDirectory, 'journal.db'), { timeout: 10_000 });
  journal.prepare(`UPDATE runs SET detail = json_set(detail, '$.bytes', 100000000000)`).run();
  journal.close();
  const peak = await peakBytes(host, 'backup');
  console.log('foreseen', { backup: peak });
  expect(peak).toBeLessThan(mostBytes);
  const client = s3.client();
  const objects = await rawBucket(client, bucketOf('foreseen')).names();
  client.destroy();
  // An ETag ends with the number of parts.
  const dumps = [...objects].filter(([name]) => /^foreseen_[^.]*\.sql\.gz$/.test(name));
  const [first, second] = dumps.map(([, etag]) => /-(\d+)"/.exec(etag)?.[1]);
  // By zlib the object is a little larger than by libdeflate.
  expect([first, second]).toEqual([compressor === 'libdeflate' ? '8' : '9', '3']);
}, 180_000);
