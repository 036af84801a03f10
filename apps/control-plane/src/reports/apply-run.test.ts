import { newId } from '@strideiq/core';
import type { Report } from '@strideiq/protocol';
import { waitFor } from '@strideiq/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { backups, runs } from '../catalog/schema.ts';
import { TestHost } from '../testing/host.ts';
import { startReporting, type Reporting } from '../testing/reporting-host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';

let gateway: Reporting['gateway'];
let host: Reporting['host'];
let link: Reporting['link'];
let newRun: Reporting['newRun'];
let says: Reporting['says'];
let answersTo: Reporting['answersTo'];
let runRow: Reporting['runRow'];
let copyRows: Reporting['copyRows'];
let ask: Reporting['ask'];
let commandOf: Reporting['commandOf'];
let backupReports: Reporting['backupReports'];
beforeEach(async () => {
  ({ gateway, host, link, newRun, says, answersTo, runRow, copyRows, ask, commandOf, backupReports } =
    await startReporting());
});
afterEach(async () => await gateway.stop());

describe('a run', () => {
  test('that the host began by itself is made by its first report', async () => {
    const runId = newRun();
    expect(await answersTo(says(runId, 'running'))).toEqual(['accepted']);
    expect(runRow(runId)).toMatchObject({
      kind: 'backup',
      state: 'running',
      databaseId: host.databaseId(),
      agentId: host.agentId,
      commandId: null,
      requestedBy: null,
      createdAt: gateway.now(),
      hostStartedAt: Date.parse('2026-11-24T07:59:00.000Z'),
      endedAt: null,
    });
  });

  test('tells its whole story by its last report alone', async () => {
    const runId = newRun();
    const backup = madeBackup(host);
    const [, last] = backupReports(runId, backup);
    expect(await answersTo(last as Report)).toEqual(['accepted']);
    expect(runRow(runId)).toMatchObject({
      state: 'succeeded',
      hostFinishedAt: Date.parse('2026-11-24T08:00:00.000Z'),
      endedAt: gateway.now(),
      backupId: backup.backupId,
      outcome: { warnings: ['slow'] },
    });
    const { backupId, copies: _, snapshotAt, ...rest } = backup;
    expect(gateway.catalog.select().from(backups).all()).toEqual([
      {
        ...rest,
        id: backupId,
        databaseId: host.databaseId(),
        runId,
        agentId: host.agentId,
        state: 'succeeded',
        hostSnapshotAt: Date.parse(snapshotAt ?? ''),
        hostFinishedAt: gateway.now(),
        recordedAt: gateway.now(),
        safety: false,
        comparison: null,
      },
    ]);
    expect(copyRows().map(({ storeId, state, key }) => ({ storeId, state, key }))).toEqual(
      expect.arrayContaining([
        { storeId: host.storeId(0), state: 'stored', key: backup.objectName },
        { storeId: host.storeId(1), state: 'stored', key: backup.objectName },
      ]),
    );
  });

  test('that was asked for passes the states that its host left out', async () => {
    const runId = await ask();
    const commandId = commandOf(runId)?.id ?? '';
    const [, last] = backupReports(runId);
    await waitFor('the command', () => link.commands.length === 1);
    expect(await answersTo({ ...(last as Report), body: { ...last?.body, commandId } })).toEqual(['accepted']);
    expect(runRow(runId)).toMatchObject({ state: 'succeeded', requestedBy: 'key-1', commandId });
  });

  test.each([
    [['running', 'succeeded'], 'running'],
    [['running', 'cancelling', 'cancelled'], 'cancelling'],
    [['running', 'failed'], 'failed'],
    [['running', 'cancelling'], 'running'],
  ] as const)('that is known by %j is not changed by an older or a repeated %s', async (known, said) => {
    const runId = newRun();
    for (const state of known) await link.send(says(runId, state, { warnings: [state] }));
    const before = runRow(runId);
    gateway.clock.now += 1000;
    expect(await answersTo(says(runId, said, { warnings: ['again'] }))).toEqual(['accepted']);
    expect(runRow(runId)).toEqual(before);
  });

  test.each([
    ['succeeded', 'failed'],
    ['failed', 'succeeded'],
    ['cancelled', 'succeeded'],
  ] as const)('that is %s cannot be %s too: the contradiction is set aside', async (known, said) => {
    const runId = newRun();
    await link.send(says(runId, known));
    const before = runRow(runId);
    expect(await answersTo(says(runId, said, { backup: madeBackup(host) }))).toEqual(['IllegalTransition']);
    expect(runRow(runId)).toEqual(before);
    expect(gateway.catalog.select().from(backups).all()).toEqual([]);
  });

  test.each(['lost', 'expired'] as const)('that was taken for %s is what its host says after all', async (thought) => {
    const runId = await ask();
    gateway.catalog.update(runs).set({ state: thought, endedAt: 5, errorCode: 'X', error: 'x' }).run();
    expect(await answersTo(...backupReports(runId))).toEqual(['accepted', 'accepted']);
    expect(runRow(runId)).toMatchObject({ state: 'succeeded', endedAt: gateway.now(), errorCode: null, error: null });
    expect(gateway.catalog.select().from(backups).all()).toHaveLength(1);
  });

  test('that had expired and goes on has no end any more', async () => {
    const runId = await ask();
    gateway.catalog.update(runs).set({ state: 'expired', endedAt: 5, errorCode: 'X', error: 'x' }).run();
    await link.send(says(runId, 'running'));
    expect(runRow(runId)).toMatchObject({ state: 'running', endedAt: null, errorCode: null, error: null });
  });

  test('of another database than was asked for, or by the command of another run, is not taken', async () => {
    host.looksAfter('second');
    await link.hello();
    const runId = await ask();
    const other = await ask();
    const commandId = commandOf(other)?.id ?? '';
    expect(
      await answersTo(
        says(runId, 'running', { databaseId: host.databaseId('second') }),
        says(runId, 'running', { commandId }),
        says(newRun(), 'running', { commandId }),
        says(newRun(), 'running', { commandId: newId(1) }),
      ),
    ).toEqual(['NotOwner', 'NotOwner', 'NotOwner', 'accepted']);
  });

  test('whose end is told in words that cannot be taken is lost, with the reason, and does not go on forever', async () => {
    const [first, second, third, goes] = [newRun(), await ask(), newRun(), newRun()];
    await link.send(says(first, 'running'), says(third, 'running'), says(goes, 'running'));
    const other = new TestHost(gateway, 'production', 'db2').looksAfter('other').enrol();
    const theirs = madeBackup(other);
    const otherLink = await other.connect();
    await otherLink.send(other.report('run', runBody(other, newRun(), 'succeeded', { backup: theirs })));
    const backup = madeBackup(host, { backupId: theirs.backupId });
    const odd = { ...says(third, 'failed'), body: { ...runBody(host, third, 'failed'), startedAt: 'yesterday' } };
    const unknown = { ...says(goes, 'running'), body: { ...runBody(host, goes, 'running'), startedAt: 'yesterday' } };
    expect(
      await answersTo(says(first, 'succeeded', { backup }), says(second, 'succeeded', { backup }), odd, unknown),
    ).toEqual(['NotOwner', 'NotOwner', 'ReportInvalid', 'ReportInvalid']);
    expect([first, second, third].map((id) => runRow(id)?.state)).toEqual(['lost', 'lost', 'lost']);
    expect(runRow(first)).toMatchObject({ errorCode: 'NotOwner', endedAt: gateway.now() });
    expect(runRow(first)?.error).toContain(theirs.backupId);
    expect(runRow(goes)).toMatchObject({ state: 'running' });
    expect(gateway.catalog.select().from(backups).all()).toMatchObject([{ agentId: other.agentId }]);
    await link.send(says(third, 'failed'));
    expect(runRow(third)).toMatchObject({ state: 'failed', errorCode: null });
  });

  test('says what a restore did', async () => {
    const runId = newRun();
    const restore = { source: '/backups/x.sql.gz', into: 'app_2', tables: 3, rows: 9, objects: 12 };
    await link.send(says(runId, 'succeeded', { kind: 'restore', restore }));
    expect(runRow(runId)).toMatchObject({ kind: 'restore', outcome: { restore }, backupId: null });
  });

  test('says why it failed', async () => {
    const runId = newRun();
    await link.send(says(runId, 'failed', { error: { code: 'DumpFailed', text: 'pg_dump ended with 1' } }));
    expect(runRow(runId)).toMatchObject({ errorCode: 'DumpFailed', error: 'pg_dump ended with 1' });
  });
});
