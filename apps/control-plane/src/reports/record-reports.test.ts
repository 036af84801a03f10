import { newId } from '@strideiq/core';
import type { Report, ReportAnswers } from '@strideiq/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { journals, reports } from '../catalog/schema.ts';
import { startReporting, type Reporting } from '../testing/reporting-host.ts';
import { madeBackup } from '../testing/reports.ts';
import { rowsOf } from '../testing/tables.ts';

let gateway: Reporting['gateway'];
let host: Reporting['host'];
let link: Reporting['link'];
let newRun: Reporting['newRun'];
let says: Reporting['says'];
let answersTo: Reporting['answersTo'];
let runRow: Reporting['runRow'];
let backupReports: Reporting['backupReports'];
beforeEach(async () => {
  ({ gateway, host, link, newRun, says, answersTo, runRow, backupReports } = await startReporting());
});
afterEach(async () => await gateway.stop());

describe('a batch', () => {
  test('is recorded once, however often it comes', async () => {
    const backup = madeBackup(host);
    const runId = newRun();
    const batch = backupReports(runId, backup);
    expect(await link.send(...batch)).toMatchObject({ highWater: 2 });
    const before = rowsOf(gateway.catalog);
    gateway.clock.now += 5000;
    expect(await answersTo(...batch)).toEqual(['duplicate', 'duplicate']);
    expect(await answersTo(batch[0] as Report, says(newRun(), 'running'))).toEqual(['duplicate', 'accepted']);
    const after = rowsOf(gateway.catalog);
    for (const table of ['backups', 'copies', 'runLog']) expect(after[table]).toEqual(before[table]);
    expect(runRow(runId)).toMatchObject({ state: 'succeeded', endedAt: gateway.now() - 5000 });
  });

  test('sets aside what cannot be taken, with the reason, and takes the rest', async () => {
    const good = newRun();
    const first = says(good, 'running');
    const bad: Report = { ...says(newRun(), 'running'), body: { runId: 'no id', state: 'odd' } };
    const foreign = says(newRun(), 'running', { databaseId: newId(1) });
    const later: Report = { ...says(newRun(), 'running'), kind: 'forecast', body: { weather: 'fine' } };
    const answer = await link.send(first, bad, foreign, later, says(good, 'failed'));
    expect(answer.answers.map(({ answer, code }) => [answer, code])).toEqual([
      ['accepted', undefined],
      ['rejected', 'ReportInvalid'],
      ['rejected', 'NotOwner'],
      ['accepted', undefined],
      ['accepted', undefined],
    ]);
    expect(answer.answers[1]?.text).toContain('runId');
    expect(answer.highWater).toBe(5);
    const kept = gateway.catalog.select().from(reports).orderBy(reports.seq).all();
    expect(kept.map(({ seq, answer, code, body }) => ({ seq, answer, code, body }))).toEqual([
      { seq: 1, answer: 'accepted', code: null, body: null },
      { seq: 2, answer: 'rejected', code: 'ReportInvalid', body: bad.body },
      { seq: 3, answer: 'rejected', code: 'NotOwner', body: foreign.body },
      { seq: 4, answer: 'accepted', code: null, body: later.body },
      { seq: 5, answer: 'accepted', code: null, body: null },
    ]);
    expect(kept.map(({ hostAt, receivedAt }) => [hostAt, receivedAt])).toEqual(
      kept.map(() => [gateway.now(), gateway.now()]),
    );
    expect(runRow(good)).toMatchObject({ state: 'failed' });
    expect(gateway.said.filter(({ text }) => text === 'a report was rejected')).toHaveLength(2);
    expect(await answersTo(bad, foreign)).toEqual(['ReportInvalid', 'NotOwner']);
  });

  test('raises the mark of its own journal over all it holds, taken or not', async () => {
    const bad: Report = { ...says(newRun(), 'running'), seq: 41, body: {} };
    const journalId = newId(1);
    await link.api.report.mutate({ journalId, reports: [bad] });
    expect(await link.send(says(newRun(), 'running'))).toMatchObject({ highWater: 2 });
    expect(gateway.catalog.select().from(journals).all()).toEqual(
      expect.arrayContaining([
        { agentId: host.agentId, journalId, highWater: 41 },
        { agentId: host.agentId, journalId: host.journalId, highWater: 2 },
      ]),
    );
  });

  test('that the disk has no room for is not answered, changes nothing, and is taken when it comes again', async () => {
    const batch = backupReports(newRun());
    gateway.catalog.$client.exec(
      "CREATE TEMP TRIGGER full BEFORE INSERT ON copies BEGIN SELECT RAISE(ABORT, 'disk is full'); END",
    );
    const before = rowsOf(gateway.catalog);
    await expect(link.send(...batch)).rejects.toMatchObject({ data: { coded: { code: 'Unexpected' } } });
    expect(rowsOf(gateway.catalog)).toEqual(before);
    expect(gateway.said.filter(({ level }) => level === 'error')).toHaveLength(1);
    gateway.catalog.$client.exec('DROP TRIGGER full');
    expect(await answersTo(...batch)).toEqual(['accepted', 'accepted']);
  });
});

test('the answers of a batch are those of its own reports, in its order', async () => {
  const batch = Array.from({ length: 300 }, () => says(newRun(), 'running'));
  const { answers }: ReportAnswers = await link.send(...batch);
  expect(answers.map(({ reportId }) => reportId)).toEqual(batch.map(({ reportId }) => reportId));
});
