import { newId } from '@strideiq/core';
import type { ReportBodies } from '@strideiq/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { backups, copies, runs } from '../catalog/schema.ts';
import { startReporting, type Reporting } from '../testing/reporting-host.ts';
import { madeBackup } from '../testing/reports.ts';

let gateway: Reporting['gateway'];
let host: Reporting['host'];
let link: Reporting['link'];
let newRun: Reporting['newRun'];
let says: Reporting['says'];
let answersTo: Reporting['answersTo'];
let copyRows: Reporting['copyRows'];
let backupReports: Reporting['backupReports'];
beforeEach(async () => {
  ({ gateway, host, link, newRun, says, answersTo, copyRows, backupReports } = await startReporting());
});
afterEach(async () => await gateway.stop());

describe('a copy', () => {
  let backup: ReturnType<typeof madeBackup>;
  beforeEach(async () => {
    backup = madeBackup(host);
    await link.send(...backupReports(newRun(), backup));
  });
  const found = (state: ReportBodies['copy']['state'], more: Partial<ReportBodies['copy']> = {}) =>
    host.report('copy', {
      databaseId: host.databaseId(),
      backupId: backup.backupId,
      storeId: host.storeId(),
      key: backup.objectName,
      state,
      ...more,
    });
  const row = () => copyRows().find(({ storeId }) => storeId === host.storeId());

  test('that was read back is verified as of then, and again', async () => {
    const report = found('verified', { sizeBytes: 1000 });
    await link.send({ ...report, at: '2026-11-20T00:00:00.000Z' });
    expect(row()).toMatchObject({ state: 'verified', verifiedAt: Date.parse('2026-11-20T00:00:00.000Z') });
    await link.send({ ...found('verified'), at: '2026-11-21T00:00:00.000Z' });
    expect(row()).toMatchObject({ verifiedAt: Date.parse('2026-11-21T00:00:00.000Z'), changedAt: gateway.now() });
    expect(copyRows().find(({ storeId }) => storeId !== host.storeId())).toMatchObject({ state: 'stored' });
  });

  test('that a clock in the future verified is verified now', async () => {
    await link.send({ ...found('verified'), at: '2030-01-01T00:00:00.000Z' });
    expect(row()).toMatchObject({ verifiedAt: gateway.now() });
  });

  test('goes from each finding to every other, and tells the problems', async () => {
    await link.send(found('corrupt', { problems: ['its end is missing', 'so is its middle'] }));
    expect(row()).toMatchObject({
      state: 'corrupt',
      errorCode: 'CopyCorrupt',
      error: 'its end is missing\nso is its middle',
    });
    for (const state of ['corrupt', 'missing', 'missing', 'corrupt', 'verified', 'missing', 'verified'] as const) {
      expect(await answersTo(found(state))).toEqual(['accepted']);
      expect(row()).toMatchObject({ state });
    }
    expect(row()).toMatchObject({ errorCode: null, error: null });
  });

  test('that failed, is gone or corrupt is stored once it was made from another; one that was read back since stays so', async () => {
    for (const state of ['failed', 'missing', 'corrupt'] as const) {
      gateway.catalog.update(copies).set({ state, errorCode: 'StoreFailed', error: 'away' }).run();
      expect(await answersTo(found('stored', { sizeBytes: 1000 }))).toEqual(['accepted']);
      expect(row()).toMatchObject({ state: 'stored', sizeBytes: 1000, errorCode: null, error: null });
    }
    await link.send(found('verified'));
    expect(await answersTo(found('stored'))).toEqual(['accepted']);
    expect(row()).toMatchObject({ state: 'verified' });
  });

  test('is in its state since its host saw it so first, whenever we hear of it', async () => {
    const saw = async (state: 'corrupt' | 'verified' | 'missing', at: string) => {
      await link.send({ ...found(state), at });
      return new Date(row()?.hostSince ?? 0).toISOString().slice(0, 10);
    };
    expect(await saw('corrupt', '2026-11-18T00:00:00.000Z')).toBe('2026-11-18');
    expect(await saw('corrupt', '2026-11-19T00:00:00.000Z')).toBe('2026-11-18');
    expect(await saw('verified', '2026-11-20T00:00:00.000Z')).toBe('2026-11-20');
    // A host whose clock is ahead.
    expect(await saw('missing', '2030-01-01T00:00:00.000Z')).toBe(new Date(gateway.now()).toISOString().slice(0, 10));
    expect(row()).toMatchObject({ changedAt: gateway.now() });
  });

  test.each(['deleting', 'deleted'] as const)('that is %s cannot be found again', async (state) => {
    gateway.catalog.update(copies).set({ state }).run();
    expect(await answersTo(found('verified'))).toEqual(['IllegalTransition']);
    expect(row()).toMatchObject({ state });
  });

  test('that was removed is none that is missing, and one that is made again begins anew', async () => {
    gateway.catalog.update(copies).set({ state: 'deleted' }).run();
    const removed = row();
    expect(await answersTo(found('missing'))).toEqual(['accepted']);
    expect(row()).toEqual(removed);
    expect(await answersTo(found('stored', { sizeBytes: 7 }))).toEqual(['accepted']);
    expect(row()).toMatchObject({ state: 'stored', sizeBytes: 7, errorCode: null });
  });

  test('that is being removed stays so until whoever removes it says how that ended', async () => {
    gateway.catalog.update(copies).set({ state: 'deleting' }).run();
    expect(await answersTo(found('missing'), found('stored'), found('corrupt'))).toEqual([
      'IllegalTransition',
      'IllegalTransition',
      'IllegalTransition',
    ]);
    expect(row()).toMatchObject({ state: 'deleting' });
  });

  test('is taken back to what its run knew by no older word of it', async () => {
    await link.send(found('verified'));
    const runId = gateway.catalog.select().from(backups).get()?.runId ?? '';
    gateway.catalog.update(runs).set({ state: 'running' }).run();
    gateway.catalog.update(backups).set({ state: 'running' }).run();
    expect(await answersTo(says(runId, 'succeeded', { backup }))).toEqual(['accepted']);
    expect(row()).toMatchObject({ state: 'verified' });
  });

  test('of a known backup that no run told of is made by what was found', async () => {
    gateway.catalog.delete(copies).run();
    await link.send(found('missing'));
    expect(row()).toMatchObject({ state: 'missing', key: backup.objectName });
  });

  test('of a backup or in a store that is not known is not taken', async () => {
    expect(
      await answersTo(found('verified', { backupId: newId(1) }), found('verified', { storeId: newId(1) })),
    ).toEqual(['NotOwner', 'NotOwner']);
  });
});
