import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { fingerprint, startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AgentHost } from './agent-host.ts';
import { ControlPlaneServer } from './control-plane-server.ts';
import { reportsOf } from './raw-state.ts';

/** Dumps of the old scripts are taken into a host's care, as the shipped programs do it. */

const old = 'app_20250131_030000';
const older = 'app_20250130_030000';
let cluster: PostgresCluster;
let dump: Buffer;
let host: AgentHost;

beforeAll(async () => {
  cluster = await startPostgres();
  await cluster.createDatabase('app');
  await cluster.query('app', 'CREATE TABLE runner AS SELECT n AS id FROM generate_series(1, 300) AS n');
  const { stdout } = await cluster.runClient('pg_dump', ['-d', 'app']);
  dump = gzipSync(stdout);
}, 120_000);
afterAll(async () => cluster?.stop());
beforeEach(() => {
  host = new AgentHost({ cluster, database: 'app' });
});
afterEach(() => host.remove());

const put = (stem: string, bytes = dump) => writeFileSync(host.path(`${stem}.sql.gz`), bytes);

test('one is listed, shown, verified by its checksum, restored as before, and removed by retention', async () => {
  put(old);
  const adopted = await host.json('adopt', old);
  expect(adopted).toMatchObject({ name: `${old}.sql.gz`, rows: 300, tables: 1, takenAt: '2025-01-31T03:00:00.000Z' });
  expect(readFileSync(host.path(`${old}.sql.gz`)).equals(dump)).toBe(true);
  const { items } = await host.json<{ items: object[] }>('list');
  expect(items).toMatchObject([{ name: old, state: 'complete', rows: 300, id: adopted['backupId'] }]);
  const shown = await host.run('show', String(adopted['backupId']));
  expect(shown.stdout).toMatch(/taken in on .*[^]*trusted +no: .* no agent made it[^]*runner +300/);
  expect(await host.json('verify', old)).toMatchObject({
    copies: [{ state: 'verified', comparedWith: 'manifest', trusted: false }],
  });

  const refused = await host.run('restore', 'latest', '--into', 'fresh');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/no agent made it.*--trust-source/)]);
  await host.json('restore', 'latest', '--into', 'fresh', '--trust-source');
  expect(await fingerprint(cluster, 'fresh')).toEqual(await fingerprint(cluster, 'app'));
  await cluster.dropDatabase('fresh');

  const changed = Buffer.from(dump);
  changed[9] = (changed[9] ?? 0) ^ 1;
  put(old, changed);
  const corrupt = await host.run('verify', old);
  expect([corrupt.code, corrupt.stdout]).toEqual([1, expect.stringMatching(/SHA-256/)]);
  put(old);

  await host.json('backup', '--verify');
  const pruned = await host.run('prune');
  expect([pruned.code, pruned.stdout]).toEqual([0, expect.stringContaining(`removed  ${old}`)]);
  expect(host.files().filter((name) => name.startsWith(old))).toEqual([]);
});

test('all are, but those that are not whole, of another database, or taken in already', async () => {
  put(old);
  put(older);
  put('app_20250129_030000', dump.subarray(0, dump.length - 40));
  put('other_20250128_030000');
  const first = await host.run('adopt', '--all');
  expect([first.code, first.stderr]).toEqual([1, expect.stringMatching(/app_20250129_030000.sql.gz was not taken in/)]);
  expect(host.files().filter((name) => name.endsWith('.manifest.json'))).toEqual(
    [older, old].map((stem) => `${stem}.manifest.json`),
  );
  rmSync(host.path('app_20250129_030000.sql.gz'));
  for (const [args, said] of [
    [['--all'], /No dump .* lacks a manifest/],
    [[old], /has a manifest already/],
    [['other_20250128_030000'], /named after another database/],
    [['app_20200101_030000'], /hold no app_20200101_030000/],
  ] as const) {
    const { code, stderr } = await host.run('adopt', ...args);
    expect([code, stderr]).toEqual([3, expect.stringMatching(said)]);
  }
  expect((await host.run('adopt')).code).toBe(2);
});

test('of two copies that differ one is taken in, and the other is told', async () => {
  host.remove();
  const other = new AgentHost({ cluster, database: 'app' });
  host = new AgentHost({
    cluster,
    database: 'app',
    stores: ['local', 'second'],
    moreStores: { second: { type: 'directory', path: other.backupDirectory } },
  });
  try {
    put(old);
    put(older);
    copyFileSync(host.path(`${older}.sql.gz`), other.path(`${older}.sql.gz`));
    writeFileSync(other.path(`${old}.sql.gz`), gzipSync(dump.subarray(0, 0)));
    const { code, stdout, stderr } = await host.run('adopt', '--all');
    expect([code, stdout, stderr]).toEqual([
      1,
      expect.stringMatching(new RegExp(`${older}.sql.gz in local, second\\n[^]*${old}.sql.gz in local\\n`)),
      expect.stringMatching(/second: /),
    ]);
    expect(readdirSync(other.backupDirectory).filter((name) => name.endsWith('.manifest.json'))).toEqual([
      `${older}.manifest.json`,
    ]);
  } finally {
    other.remove();
  }
});

describe('with a control plane', () => {
  let server: ControlPlaneServer;
  beforeEach(async () => {
    server = new ControlPlaneServer();
    await server.start();
  });
  afterEach(async () => server.remove());

  test('it is in the history for when its data are of, and is no backup of today', async () => {
    host.remove();
    host = new AgentHost({ cluster, database: 'app', controlPlane: server.url });
    const daemon = await server.enrol(host);
    try {
      const { databaseId } = await server.connected(host);
      put(old);
      const { backupId, runId } = await host.json('adopt', old);
      const state = 'SELECT state FROM copies WHERE backup_id = ?';
      const isTold = () => server.rows<{ state: string }>(state, backupId)[0]?.state === 'verified';
      await waitFor('all of it to be told', isTold, { timeoutMs: 20_000 });
      expect(await server.ended(String(runId))).toMatchObject({ kind: 'adopt', state: 'succeeded', backupId });
      expect(await server.get(`/backups/${String(backupId)}`)).toMatchObject({ rows: 300, state: 'succeeded' });
      const [{ finishedAt } = { finishedAt: 0 }] = server.rows<{ finishedAt: number }>(
        'SELECT host_finished_at AS finishedAt FROM backups WHERE database_id = ?',
        databaseId,
      );
      expect(new Date(finishedAt).toISOString()).toBe('2025-01-31T03:00:00.000Z');
      expect(reportsOf(host).filter(({ kind }) => kind === 'drift')).toEqual([]);
    } finally {
      daemon.process.kill('SIGTERM');
      await daemon.result;
    }
  });
});
