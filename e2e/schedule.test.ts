import { startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentHost } from './agent-host.ts';
import { journalOf } from './raw-state.ts';

/** A host follows its own schedule, whoever else is there. */

let cluster: PostgresCluster;
beforeAll(async () => {
  cluster = await startPostgres();
  await cluster.createDatabase('app');
  await cluster.query('app', 'CREATE TABLE t AS SELECT n FROM generate_series(1, 10) AS n');
}, 120_000);
afterAll(async () => {
  await cluster?.stop();
});

test('without a control plane a backup is made at its moment, and made again where it was killed', async () => {
  // One moment alone, at least half a minute from now.
  const moment = new Date(Math.ceil((Date.now() + 30_000) / 60_000) * 60_000);
  const line = `${moment.getUTCMinutes()} ${moment.getUTCHours()} * * *`;
  const host = new AgentHost({ cluster, database: 'app', more: { schedule: line } });
  // Makes its journal.
  await host.run('list');
  const holder = await cluster.connect('app');
  let daemon = host.start('run');
  try {
    // One that waits for a table, so that there is time to kill it.
    await holder.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
    await waitFor('a backup to begin', () => journalOf(host).length > 0, { timeoutMs: 120_000 });
    daemon.process.kill('SIGKILL');
    await daemon.result;
    await holder.query('ROLLBACK');
    daemon = host.start('run');
    const succeeded = () => journalOf(host).filter(({ state }) => state === 'succeeded');
    await waitFor('a backup to be made', () => succeeded().length > 0, { timeoutMs: 120_000 });
    const [killed, ...others] = journalOf(host) as (ReturnType<typeof journalOf>[number] & {
      detail: { dueAt: number };
    })[];
    expect(killed).toMatchObject({ kind: 'backup', state: 'failed', error_code: 'AgentDied' });
    expect([killed, ...others].map((run) => run?.detail.dueAt)).toEqual([moment.getTime(), moment.getTime()]);
    daemon.process.kill('SIGTERM');
    const { code, stderr } = await daemon.result;
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/names no control plane[^]*backup of app is tried again in 1 min/),
    ]);
  } finally {
    daemon.process.kill('SIGKILL');
    await holder.end();
    host.remove();
  }
}, 240_000);

test('a host with neither a schedule nor a control plane has nothing to run', async () => {
  const host = new AgentHost({ cluster, database: 'app' });
  const { code, stderr } = await host.run('run');
  expect([code, stderr]).toEqual([2, expect.stringMatching(/names no control plane/)]);
  host.remove();
});
