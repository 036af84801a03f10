import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseManifest, type Manifest } from '@strideiq/core';
import {
  createSampleDatabase,
  fingerprint,
  schemaText,
  startHttpFaultProxy,
  startPostgres,
  startS3,
  type HttpFaultProxy,
  type PostgresCluster,
  type S3Server,
} from '@strideiq/testkit';
import { AgentHost } from './agent-host.ts';

let cluster: PostgresCluster;
let s3: S3Server;
let proxy: HttpFaultProxy;
let host: AgentHost;
let manifest: Manifest;
let whole: Awaited<ReturnType<typeof fingerprint>>;
beforeAll(async () => {
  [cluster, s3] = await Promise.all([startPostgres(), startS3()]);
  await s3.createBucket('parts');
  proxy = await startHttpFaultProxy({ to: s3.endpoint });
  await createSampleDatabase(cluster, 'app', { scaleMb: 60 });
  await cluster.query('app', 'ALTER SEQUENCE app.activity_number RESTART WITH 900000');
  whole = await fingerprint(cluster, 'app');
  host = new AgentHost({
    cluster,
    database: 'app',
    stores: ['s3', 'local'],
    s3: { server: s3, endpoint: proxy.endpoint, bucket: 'parts' },
  });
  const { name } = await host.json<{ name: string }>('backup');
  const file = host.path(name.replace('.sql.gz', '.manifest.json'));
  ({ manifest } = parseManifest(readFileSync(file, 'utf8'), file));
});
afterAll(async () => {
  host.remove();
  await Promise.all([cluster.stop(), s3.stop(), proxy.stop()]);
});

afterEach(async () => {
  await cluster.dropDatabase('part');
});

/** Bytes of the dump that were asked for in S3 meanwhile. */
async function bytesRead(work: () => Promise<unknown>): Promise<number> {
  const before = proxy.requests.length;
  await work();
  return proxy.requests
    .slice(before)
    .filter(({ method, path }) => method === 'GET' && path.endsWith('.sql.gz') && !path.includes('privileges'))
    .reduce((sum, { headers }) => {
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(String(headers['range'])) ?? [];
      return sum + (from === undefined ? manifest.object.bytes : Number(to) - Number(from) + 1);
    }, 0);
}

/** Bytes of the chunks without which some tables cannot be restored. */
function bytesNeeded(...tables: string[]): number {
  const wanted = (place: number): boolean => {
    const table = manifest.tables[place];
    return table !== undefined && tables.includes(`${table.schema}.${table.name}`);
  };
  return manifest.chunks
    .filter(({ section, rows = [] }) => section !== 'data' || rows.some(({ table }) => wanted(table)))
    .reduce((sum, { length }) => sum + length, 0);
}

describe('--table', () => {
  it('reads no more of the object than its chunks', async () => {
    const read = await bytesRead(async () =>
      host.json('restore', 'latest', '--into', 'part', '--table', 'app.activities'),
    );
    expect(read).toBe(bytesNeeded('app.activities'));
    expect(read).toBeLessThan(manifest.object.bytes / 2);
    expect((await fingerprint(cluster, 'part')).tables['app.activities']).toEqual(whole.tables['app.activities']);
  });

  it('restores rows, indexes and keys of several, and the values of their sequences', async () => {
    await host.json('restore', 'latest', '--into', 'part', '--table', 'app.activities', '--table', 'athletes');
    const part = await fingerprint(cluster, 'part');
    for (const name of ['app.activities', 'app.athletes']) expect(part.tables[name]).toEqual(whole.tables[name]);
    expect(part.tables['app.coaches']).toMatchObject({ rows: 0 });
    expect(part.sequences['app.activity_number']).toBe(whole.sequences['app.activity_number']);
    expect(part.largeObjects).toEqual({});
    const objectsOf = `
      SELECT 'index ' || indexrelid::regclass AS name FROM pg_index WHERE indrelid IN ('app.activities'::regclass, 'app.athletes'::regclass) AND indisvalid
      UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN ('app.activities'::regclass, 'app.athletes'::regclass)
      UNION ALL SELECT 'policy ' || polname FROM pg_policy WHERE polrelid IN ('app.activities'::regclass, 'app.athletes'::regclass)
      UNION ALL SELECT 'key ' || conname FROM pg_constraint WHERE conrelid IN ('app.activities'::regclass, 'app.athletes'::regclass)
        AND NOT (contype = 'f' AND confrelid NOT IN ('app.activities'::regclass, 'app.athletes'::regclass))
      ORDER BY 1`;
    expect(await cluster.query('part', objectsOf)).toEqual(await cluster.query('app', objectsOf));
  });

  it('takes the partitions of a table along', async () => {
    const options = ['--into', 'part', '--table', 'app.check_ins'];
    const { notes } = await host.json<{ notes: string[] }>('restore', 'latest', ...options);
    expect(notes).toContainEqual(
      expect.stringMatching(/Foreign keys .* were left out: check_ins check_ins_athlete_id/),
    );
    const part = await fingerprint(cluster, 'part');
    const partitions = Object.keys(whole.tables).filter((name) => name.startsWith('app.check_ins_'));
    expect(partitions.length).toBeGreaterThan(3);
    for (const name of partitions) expect(part.tables[name]).toEqual(whole.tables[name]);
    const [root] = await cluster.query(
      'part',
      "SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = 'app.check_ins_pkey'::regclass",
    );
    expect(root).toEqual({ valid: true });
  });

  it('with --rows-only leaves out indexes and keys, and does not read post-data', async () => {
    const post = manifest.chunks.filter(({ section }) => section === 'post-data');
    const read = await bytesRead(async () =>
      host.json('restore', 'latest', '--into', 'part', '--table', 'app.teams', '--rows-only'),
    );
    expect(read).toBe(bytesNeeded('app.teams') - post.reduce((sum, { length }) => sum + length, 0));
    expect((await fingerprint(cluster, 'part')).tables['app.teams']).toEqual(whole.tables['app.teams']);
    expect(await cluster.query('part', "SELECT FROM pg_index WHERE indrelid = 'app.teams'::regclass")).toEqual([]);
  });

  it('that is not in the backup is told before anything is made, with what it may have been', async () => {
    const { code, stderr } = await host.run('restore', 'latest', '--into', 'part', '--table', 'app.activites');
    expect([code, stderr]).toEqual([3, expect.stringMatching(/no table "app\.activites"\. Is it "app\.activities"/)]);
    const view = await host.run('restore', 'latest', '--into', 'part', '--table', 'app.long_runs');
    expect([view.code, view.stderr]).toEqual([3, expect.stringContaining('no table "app.long_runs"')]);
    expect(await cluster.query('postgres', "SELECT FROM pg_database WHERE datname ~ 'part|restore'")).toEqual([]);
  });
});

describe('--schema-only', () => {
  it('restores every definition and no row, and reads no rows', async () => {
    const read = await bytesRead(async () => host.json('restore', 'latest', '--into', 'part', '--schema-only'));
    expect(read).toBe(bytesNeeded());
    expect(await schemaText(cluster, 'part')).toBe(await schemaText(cluster, 'app'));
    const { tables, largeObjects } = await fingerprint(cluster, 'part');
    const filled = Object.entries(tables).filter(([name, { rows }]) => rows > 0 && !name.startsWith('zones.'));
    expect([filled, largeObjects]).toEqual([[], {}]);
  });

  it.each([
    [['--schema-only', '--table', 'app.teams'], /--schema-only stands beside --table/],
    [['--rows-only'], /without --table/],
    [['--jobs', '0'], /--jobs <n>.*from 1 to 64/],
    [['--toast-compression', 'zstd'], /pglz or lz4/],
  ])('and other options that make no sense are refused: %s', async (options, refusal) => {
    const { code, stderr } = await host.run('restore', 'latest', '--into', 'part', ...options);
    expect([code, stderr]).toEqual([2, expect.stringMatching(refusal)]);
  });
});
