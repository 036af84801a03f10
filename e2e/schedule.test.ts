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

/** One moment alone, at least half a minute from now. */
function soon(): { moment: Date; line: string } {
  const moment = new Date(Math.ceil((Date.now() + 30_000) / 60_000) * 60_000);
  return { moment, line: `${moment.getUTCMinutes()} ${moment.getUTCHours()} * * *` };
}

test('without a control plane a backup is made at its moment, and made again where it was killed', async () => {
  const { moment, line } = soon();
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
    // The new copy is read back at once, in a run of its own.
    await waitFor('a backup to be made', () => succeeded().length === 2, { timeoutMs: 120_000 });
    expect(succeeded().map(({ kind }) => kind)).toEqual(['backup', 'verify']);
    const backups = journalOf(host).filter(({ kind }) => kind === 'backup');
    const [killed, ...others] = backups as ((typeof backups)[number] & { detail: { dueAt: number } })[];
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

test('copies are read back and backups drilled by their own schedules, and what takes too long is ended', async () => {
  const { line } = soon();
  const host = new AgentHost({
    cluster,
    database: 'app',
    more: { schedule: line, runLimit: '15s', verify: { schedule: line } },
    drill: { schedule: line, assertions: [] },
  });
  await host.json('backup');
  const holder = await cluster.connect('app');
  const daemon = host.start('run');
  try {
    await holder.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
    const ended = () => journalOf(host).filter(({ state }) => state !== 'running');
    await waitFor('all three', () => ended().length === 4, { timeoutMs: 150_000 });
    const outcomes = ended().map(({ kind, state, error_code: code }) => [kind, state, code].join(' ').trim());
    expect(outcomes.toSorted()).toEqual([
      'backup failed RunTooLong',
      'backup succeeded',
      'drill succeeded',
      'verify succeeded',
    ]);
    daemon.process.kill('SIGTERM');
    const { code, stderr } = await daemon.result;
    expect([code, stderr]).toEqual([0, expect.stringMatching(/longer than a run of app may, 15.0 s, and was ended/)]);
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
