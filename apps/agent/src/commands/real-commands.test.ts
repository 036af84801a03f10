import type { CommandEnvelope } from '@strideiq/protocol';
import { waitFor } from '@strideiq/testkit';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RealParts, type ReportedBackup } from '../testing/real-parts.ts';

/** What commands do, on real servers and stores. */

const real = new RealParts();

test('backup: into every store, reported as the manifest says it, with a log and progress', async () => {
  await real.agent.start();
  const command = real.agent.command('backup');
  await real.doIt(command);
  const run = real.runOf(command) as { backup: ReportedBackup };
  const manifestKey = readdirSync(real.agent.backups).find((name) => /\d\.manifest\.json$/.test(name)) ?? '';
  expect(run).toMatchObject({
    state: 'succeeded',
    commandId: command.commandId,
    databaseId: real.agent.databaseId(),
    backup: {
      objectName: manifestKey.replace('.manifest.json', '.sql.gz'),
      copies: [{ state: 'stored' }, { state: 'stored' }],
    },
  });
  expect(run.backup.rows).toBeGreaterThan(100);
  expect(await real.bucket.head(manifestKey)).toBeDefined();
  expect(real.controlPlane.statesOf(command.runId ?? '')).toEqual(['running', 'succeeded']);
  const phases = real.controlPlane.told('log').flatMap(({ lines }) => lines as { text: string }[]);
  expect(phases.map(({ text }) => text)).toEqual(
    expect.arrayContaining(['Preparing', 'Dumping', 'Storing the last bytes']),
  );
  const open = real.controlPlane.settled.at(-1);
  expect(open).toEqual({ openRunIds: [], openCommandIds: [] });
});

test('backup: into the named stores alone', async () => {
  await real.agent.start();
  const hello = await waitFor('hello', () => real.controlPlane.hellos[0]);
  const storeId = hello.databases[0]?.stores.find(({ name }) => name === 'local')?.storeId ?? '';
  const { copies, objectName } = await real.backedUp({ storeIds: [storeId] });
  expect(copies).toEqual([expect.objectContaining({ storeId, state: 'stored' })]);
  expect(await real.bucket.head(objectName)).toBeUndefined();
});

test('verify: each copy is reported as it was found, whole, corrupt or missing', async () => {
  await real.agent.start();
  const { backupId, objectName: key, copies } = await real.backedUp();
  const whole = real.agent.command('verify', { backupId, key });
  expect(await real.doIt(whole)).toMatchObject({ state: 'done' });
  const reported = () =>
    real.controlPlane.told('copy').map(({ storeId, state, backupId, runId }) => ({ storeId, state, backupId, runId }));
  const [local = '', far = ''] = copies.map(({ storeId }) => storeId);
  expect(reported()).toEqual(
    expect.arrayContaining([
      { storeId: local, state: 'verified', backupId, runId: whole.runId },
      { storeId: far, state: 'verified', backupId, runId: whole.runId },
    ]),
  );
  writeFileSync(join(real.agent.backups, key), 'nothing of it');
  for (const name of [key, key.replace('.sql.gz', '.manifest.json')]) await real.bucket.delete(name);
  const broken = real.agent.command('verify', { backupId, key });
  expect(await real.doIt(broken)).toMatchObject({ state: 'done' });
  expect(real.runOf(broken)).toMatchObject({ state: 'succeeded' });
  expect(reported().filter(({ runId }) => runId === broken.runId)).toEqual(
    expect.arrayContaining([
      { storeId: local, state: 'corrupt', backupId, runId: broken.runId },
      // Also its manifest is gone: that it was there stands in the journal.
      { storeId: far, state: 'missing', backupId, runId: broken.runId },
    ]),
  );
});

test('verify: a store that cannot be asked fails the run, and the others are told', async () => {
  await real.agent.start();
  const { backupId, objectName: key } = await real.backedUp();
  await real.agent.stop();
  writeFileSync(join(real.agent.directory, 'secret'), 'not the secret any more');
  await real.agent.start();
  const command = real.agent.command('verify', { backupId, key });
  await real.doIt(command);
  expect(real.runOf(command)).toMatchObject({
    state: 'failed',
    error: { code: 'StoreFailed', text: expect.stringContaining('s3') as string },
  });
  expect(real.controlPlane.told('copy').filter(({ runId }) => runId === command.runId)).toMatchObject([
    { state: 'verified' },
  ]);
});

test('presign: URLs by which somebody else reads, answered to whoever asked and written down nowhere', async () => {
  await real.agent.start();
  const { objectName, copies } = await real.backedUp();
  const keys = [objectName, objectName.replace('.sql.gz', '.manifest.json')];
  const command = real.agent.command('presign', { storeId: copies[1]?.storeId, keys, expiresInSeconds: 60 });
  expect(await real.doIt(command)).toMatchObject({ state: 'done' });
  const urls = real.controlPlane.presigned[0]?.urls ?? [];
  expect(await Promise.all(urls.map(async (url) => (await fetch(url)).status))).toEqual([200, 200]);
  await real.agent.stop();
  const written = real.agent.withJournal((journal) => JSON.stringify(journal.commands.get(command.commandId)));
  expect(`${written}${JSON.stringify(real.controlPlane.recorded)}${real.agent.said.join()}`).not.toMatch(
    /X-Amz|Signature=/i,
  );
  const foreign = real.agent.command('presign', {
    storeId: copies[1]?.storeId,
    keys: ['strideiq-owner.json'],
    expiresInSeconds: 60,
  });
  await real.agent.start();
  expect(await real.doIt(foreign)).toMatchObject({ state: 'refused', reason: { code: 'CommandInvalid' } });
});

describe('one run of a database at a time', () => {
  /** Holds what a backup needs, so that it stays where it is until the lock is let go of. */
  async function lockTable(): Promise<{ release: () => Promise<void> }> {
    const client = await real.cluster.connect('app');
    const { rows } = await client.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)' LIMIT 1`,
    );
    await client.query('BEGIN');
    await client.query(`LOCK TABLE ${rows[0]?.name} IN ACCESS EXCLUSIVE MODE`);
    return {
      release: async () => {
        await client.query('ROLLBACK');
        await client.end();
      },
    };
  }

  test('the next waits its turn; cancelled while it waits, or while it runs, it leaves nothing', async () => {
    await real.agent.start();
    const lock = await lockTable();
    const [running, waiting, last] = [
      real.agent.command('backup'),
      real.agent.command('backup'),
      real.agent.command('backup'),
    ];
    for (const command of [running, waiting, last]) real.controlPlane.send(command);
    await waitFor('the first to run', () => real.runOf(running)?.['state'] === 'running');
    await waitFor('all to be taken on', () => real.controlPlane.acknowledged.length === 3);
    expect([real.runOf(waiting), real.runOf(last)]).toEqual([undefined, undefined]);
    await waitFor('progress of it', () =>
      real.controlPlane.progress.some(({ runs }) => runs.some(({ runId }) => runId === running.runId)),
    );
    const cancel = (command: CommandEnvelope) => real.agent.command('cancel', { runId: command.runId });
    expect(await real.doIt(cancel(waiting))).toMatchObject({ state: 'done' });
    await real.ended(waiting);
    expect(real.controlPlane.statesOf(waiting.runId ?? '').at(-1)).toBe('cancelled');
    expect(real.runOf(running)).toMatchObject({ state: 'running' });
    expect(await real.doIt(cancel(running))).toMatchObject({ state: 'done' });
    await real.ended(running);
    expect(real.controlPlane.statesOf(running.runId ?? '')).toEqual(['running', 'cancelling', 'cancelled']);
    expect(readdirSync(real.agent.backups).filter((name) => name !== 'strideiq-owner.json')).toEqual([]);
    await lock.release();
    await real.ended(last);
    expect(real.runOf(last)).toMatchObject({ state: 'succeeded' });
    const moments = real.controlPlane.progress.map(({ at }) => at);
    expect(moments.length).toBeLessThanOrEqual(((moments.at(-1) ?? 0) - (moments[0] ?? 0)) / 1000 + 2);
  });

  test('a stop ends what runs in good order, tells of it, and leaves what waits for the next start', async () => {
    await real.agent.start();
    const lock = await lockTable();
    const [running, waiting] = [real.agent.command('backup'), real.agent.command('backup')];
    real.controlPlane.send(running);
    real.controlPlane.send(waiting);
    await waitFor('the first to run', () => real.runOf(running)?.['state'] === 'running');
    await waitFor('both to be taken on', () => real.controlPlane.acknowledged.length === 2);
    await real.agent.stop();
    expect(real.runOf(running)).toMatchObject({ state: 'cancelled' });
    expect(real.controlPlane.endOf(running.commandId)).toMatchObject({ state: 'done' });
    expect(real.controlPlane.endOf(waiting.commandId)).toBeUndefined();
    await lock.release();
    await real.agent.start();
    await real.ended(waiting);
    expect(real.controlPlane.settled.at(-1)?.openCommandIds).toContain(waiting.commandId);
    expect(real.runOf(waiting)).toMatchObject({ state: 'succeeded' });
  });

  test('work goes on while the control plane is away, and is told when it is back', async () => {
    await real.agent.start();
    const lock = await lockTable();
    const command = real.agent.command('backup');
    real.controlPlane.send(command);
    await waitFor('it to run', () => real.runOf(command)?.['state'] === 'running');
    await real.controlPlane.stop();
    await lock.release();
    await waitFor(
      'its end',
      () => real.agent.withJournal((journal) => journal.get(command.runId ?? '')?.state === 'succeeded'),
      { timeoutMs: 60_000, everyMs: 200 },
    );
    await real.controlPlane.start();
    await real.ended(command);
    expect(real.runOf(command)).toMatchObject({ state: 'succeeded' });
  });
});
