import { newId } from '@strideiq/core';
import type { ReportBodies } from '@strideiq/protocol';
import { startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Host } from '../compose.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';
import type { BackupRequest } from './backup-request.ts';
import { runBackup } from './run-backup.ts';

const hour = 3_600_000;
const { signal } = new AbortController();
let cluster: PostgresCluster;
let agent: TestAgent;
let host: Host;
let now: number;
let database: string;
beforeAll(async () => {
  cluster = await startPostgres();
});
afterAll(async () => {
  await cluster.stop();
});
beforeEach(async (context) => {
  now = Date.now();
  database = `app_${context.task.id.replaceAll('-', '_')}`;
  await cluster.createDatabase(database);
  const connection = { host: cluster.host, port: cluster.port, user: 'postgres', database };
  agent = new TestAgent({
    controlPlane: new ScriptedControlPlane(),
    databases: { app: { connection, stores: ['local'] } },
    now: () => now,
  });
  host = await agent.open();
  await query('CREATE TABLE athletes AS SELECT n FROM generate_series(1, 5000) AS n');
  await query('CREATE TABLE races AS SELECT n FROM generate_series(1, 500) AS n');
});
afterEach(async () => {
  host.close();
  await agent.remove();
});

const app = () => host.configuration.databases['app'] ?? expect.unreachable();
const query = async (sql: string) => cluster.query(database, sql);
const nothing = { rowsLost: [], schema: { added: 0, removed: 0, changed: 0, examples: [] } };

/** What the report of a backup says of it. */
async function backUp(more: Partial<BackupRequest> = {}) {
  now += hour;
  const { journal, key } = host;
  const deps = { journal, key, now: () => now, progress: () => undefined, signal };
  const { runId } = await runBackup({ ...(await host.backupRequest(app())), ...more }, deps);
  const runs = journal.outbox.batchAfter(0).filter(({ kind }) => kind === 'run');
  const ended = runs.map(({ body }) => body as unknown as ReportBodies['run']).findLast((run) => run.runId === runId);
  if (!ended?.backup) throw new Error(`nothing is reported of the backup of run ${runId}`);
  return ended.backup;
}

test('what was lost since the backup before is told, and the first one tells nothing', async () => {
  const first = await backUp();
  expect(first.comparison).toBeUndefined();
  await query('TRUNCATE athletes');
  await query('ALTER TABLE races ADD COLUMN name text');
  const second = await backUp();
  expect(second.comparison).toEqual({
    against: first.backupId,
    rowsLost: [{ table: 'public.athletes', before: 5000, after: 0 }],
    schema: { added: 0, removed: 0, changed: 1, examples: ['table public.races: changed'] },
  });
  expect((await backUp()).comparison).toEqual({ against: second.backupId, ...nothing });
});

test('a backup that fails, or that is made before its database is replaced, is none to compare with', async () => {
  const first = await backUp();
  await query('TRUNCATE athletes');
  expect((await backUp({ safety: true })).comparison).toBeUndefined();
  await expect(backUp({ stores: [] })).rejects.toThrow(/no store|none/i);
  expect((await backUp()).comparison).toMatchObject({
    against: first.backupId,
    rowsLost: [{ before: 5000, after: 0 }],
  });
  expect(agent.rows('SELECT count(*) AS shapes FROM shapes')).toEqual([{ shapes: 1 }]);
});

test('nor is one that was killed before its end, also where it is ended later', async () => {
  const first = await backUp();
  const databaseId = agent.databaseId();
  const id = newId(now);
  host.journal.begin({ id, kind: 'backup', environment: 'test', database: 'app', databaseId, detail: {} });
  host.journal.shapes.keep(id, databaseId, { backupId: id, leavesOut: '[[],[]]', tables: [], objects: [] });
  const second = await backUp();
  expect(second.comparison).toEqual({ against: first.backupId, ...nothing });
  host.journal.finish(id, 'succeeded');
  expect((await backUp()).comparison).toEqual({ against: second.backupId, ...nothing });
});
