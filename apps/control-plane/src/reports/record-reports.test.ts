import { newId } from '@strideiq/core';
import type { Report, ReportAnswers, ReportBodies } from '@strideiq/protocol';
import { waitFor } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { backups, commands, copies, journals, reports, runLog, runs } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { bucketStore, TestHost, type TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import { rowsOf } from '../testing/tables.ts';
import { mostLogLines } from './apply-log.ts';

let gateway: TestGateway;
let host: TestHost;
let link: TestLink;
beforeEach(async () => {
  gateway = await startGateway();
  host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
  host.databases[0]?.stores.push(bucketStore('app/'));
  link = await host.connect();
});
afterEach(async () => await gateway.stop());

type RunBody = ReportBodies['run'];
const says = (runId: string, state: RunBody['state'], more?: Partial<RunBody>) =>
  host.report('run', runBody(host, runId, state, more));
const answersTo = async (...batch: Report[]) => {
  const { answers } = await link.send(...batch);
  return answers.map(({ answer, code }) => code ?? answer);
};
const runRow = (id: string) => gateway.catalog.select().from(runs).where(eq(runs.id, id)).get();
const copyRows = () => gateway.catalog.select().from(copies).all();
const newRun = () => newId(gateway.now());
const ask = async () => (await gateway.work.requestBackup({ databaseId: host.databaseId() }, { keyId: 'key-1' })).runId;
const commandOf = (runId: string) => gateway.catalog.select().from(commands).where(eq(commands.runId, runId)).get();

/** A backup that has succeeded, as two reports. */
function backupReports(runId: string, backup = madeBackup(host)): Report[] {
  return [
    says(runId, 'running'),
    says(runId, 'succeeded', { finishedAt: '2026-11-24T08:00:00.000Z', backup, warnings: ['slow'] }),
  ];
}

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
    expect(await answersTo(bad, foreign)).toEqual(['duplicate', 'duplicate']);
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
    await (await other.connect()).close();
    const backup = madeBackup(host, { copies: [{ storeId: other.storeId(), key: 'x', state: 'stored' }] });
    const odd = { ...says(third, 'failed'), body: { ...runBody(host, third, 'failed'), startedAt: 'yesterday' } };
    const unknown = { ...says(goes, 'running'), body: { ...runBody(host, goes, 'running'), startedAt: 'yesterday' } };
    expect(
      await answersTo(says(first, 'succeeded', { backup }), says(second, 'succeeded', { backup }), odd, unknown),
    ).toEqual(['NotOwner', 'NotOwner', 'ReportInvalid', 'ReportInvalid']);
    expect([first, second, third].map((id) => runRow(id)?.state)).toEqual(['lost', 'lost', 'lost']);
    expect(runRow(first)).toMatchObject({ errorCode: 'NotOwner', endedAt: gateway.now() });
    expect(runRow(first)?.error).toContain(other.storeId());
    expect(runRow(goes)).toMatchObject({ state: 'running' });
    expect(gateway.catalog.select().from(backups).all()).toEqual([]);
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

describe('a backup', () => {
  test('of which no store has a copy has failed', async () => {
    const error = { code: 'StorageFull', text: 'full' };
    const failed = madeBackup(host).copies.map((copy) => ({ ...copy, state: 'failed' as const, error }));
    await link.send(says(newRun(), 'failed', { backup: madeBackup(host, { copies: failed }) }));
    expect(gateway.catalog.select().from(backups).all()).toMatchObject([{ state: 'failed' }]);
    expect(copyRows()).toMatchObject([{ state: 'failed', errorCode: 'StorageFull', error: 'full' }, {}]);
  });

  test('of a run that failed has succeeded where a store holds it', async () => {
    await link.send(says(newRun(), 'failed', { backup: madeBackup(host) }));
    expect(gateway.catalog.select().from(backups).all()).toMatchObject([{ state: 'succeeded' }]);
  });

  test('that is told of while its run goes on ends with it', async () => {
    const runId = newRun();
    const backup = madeBackup(host);
    const [first, ...others] = backup.copies;
    if (!first) throw new Error('none');
    const halfway = { ...backup, copies: [{ ...first, state: 'failed' as const }, ...others] };
    await link.send(says(runId, 'running', { backup: halfway }));
    expect(gateway.catalog.select().from(backups).all()).toMatchObject([{ state: 'running' }]);
    await link.send(says(runId, 'succeeded', { backup }));
    expect(gateway.catalog.select().from(backups).all()).toMatchObject([{ state: 'succeeded' }]);
    expect(copyRows()).toMatchObject([{ state: 'stored' }, { state: 'stored' }]);
  });

  test('is taken without the copy in a store that nobody knows, and says so', async () => {
    const runId = newRun();
    const backup = madeBackup(host);
    const gone = { storeId: newId(1), key: backup.objectName, state: 'stored' as const };
    await link.send(says(runId, 'succeeded', { backup: { ...backup, copies: [...backup.copies, gone] } }));
    expect(copyRows()).toHaveLength(2);
    expect(runRow(runId)?.outcome?.warnings).toEqual([expect.stringContaining(gone.storeId)]);
  });

  test('of another run cannot be told again as this one’s', async () => {
    const backup = madeBackup(host);
    await link.send(...backupReports(newRun(), backup));
    const before = gateway.catalog.select().from(backups).all();
    expect(await answersTo(says(newRun(), 'succeeded', { backup: { ...backup, bytes: 5 } }))).toEqual(['NotOwner']);
    expect(gateway.catalog.select().from(backups).all()).toEqual(before);
  });
});

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

  test.each(['deleting', 'deleted'] as const)('that is %s cannot be found again', async (state) => {
    gateway.catalog.update(copies).set({ state }).run();
    expect(await answersTo(found('verified'))).toEqual(['IllegalTransition']);
    expect(row()).toMatchObject({ state });
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

describe('a log', () => {
  const line = (text: string) => ({ at: '2026-11-24T08:00:00.000Z', level: 'info' as const, text });

  test('is kept in order, and of each run the newest lines', async () => {
    const [long, short] = [newRun(), newRun()];
    await link.send(says(long, 'running'), says(short, 'running'));
    await link.send(host.report('log', { runId: short, lines: [line('a'), line('b')] }));
    const batches = Math.ceil((mostLogLines + 250) / 100);
    for (let at = 0; at < batches; at++) {
      const lines = Array.from({ length: 100 }, (_, n) => line(String(at * 100 + n)));
      await link.send(host.report('log', { runId: long, lines }));
    }
    const textsOf = (runId: string) =>
      gateway.catalog
        .select()
        .from(runLog)
        .where(eq(runLog.runId, runId))
        .orderBy(runLog.seq)
        .all()
        .map(({ text }) => text);
    expect(textsOf(short)).toEqual(['a', 'b']);
    const texts = textsOf(long);
    expect(texts).toHaveLength(mostLogLines);
    expect(texts.at(-1)).toBe(String(batches * 100 - 1));
    expect(texts[0]).toBe(String(batches * 100 - mostLogLines));
  });

  test('of a run that is not known is not taken', async () => {
    expect(await answersTo(host.report('log', { runId: newRun(), lines: [line('x')] }))).toEqual(['NotOwner']);
    expect(gateway.catalog.select().from(runLog).all()).toEqual([]);
  });
});

describe('a command', () => {
  const ended = (commandId: string, state: ReportBodies['command']['state'], reason?: { code: string; text: string }) =>
    host.report('command', { commandId, state, ...(reason ? { reason } : {}) });
  const reason = { code: 'ActionNotAllowed', text: 'agent.yaml says no' };

  test('that was done leaves its run to its own reports', async () => {
    const runId = await ask();
    const { id = '' } = commandOf(runId) ?? {};
    await waitFor('the command', () => link.commands.length === 1);
    expect(await answersTo(ended(id, 'done'))).toEqual(['accepted']);
    expect(commandOf(runId)).toMatchObject({ state: 'done', endedAt: gateway.now() });
    expect(runRow(runId)).toMatchObject({ state: 'dispatched' });
  });

  test.each([
    ['refused', 'failed'],
    ['expired', 'expired'],
  ] as const)('that was %s ends its run as %s, with the reason', async (state, becomes) => {
    const runId = await ask();
    const { id = '' } = commandOf(runId) ?? {};
    expect(await answersTo(ended(id, state, reason))).toEqual(['accepted']);
    expect(commandOf(runId)).toMatchObject({ state, reasonCode: reason.code, reason: reason.text });
    expect(runRow(runId)).toMatchObject({ state: becomes, errorCode: reason.code, error: reason.text });
  });

  test('that was refused does not end a run that runs', async () => {
    const runId = await ask();
    const { id = '' } = commandOf(runId) ?? {};
    await link.send(says(runId, 'running'), ended(id, 'refused', reason));
    expect(runRow(runId)).toMatchObject({ state: 'running' });
  });

  test('has one end', async () => {
    const runId = await ask();
    const { id = '' } = commandOf(runId) ?? {};
    await link.send(ended(id, 'done'));
    const before = commandOf(runId);
    expect(await answersTo(ended(id, 'refused', reason), ended(id, 'expired'), ended(id, 'done'))).toEqual([
      'accepted',
      'accepted',
      'accepted',
    ]);
    expect(commandOf(runId)).toEqual(before);
  });

  test('that the catalog does not know any more is no reason to reject anything', async () => {
    expect(await answersTo(ended(newId(1), 'done'))).toEqual(['accepted']);
  });
});

test('the answers of a batch are those of its own reports, in its order', async () => {
  const batch = Array.from({ length: 300 }, () => says(newRun(), 'running'));
  const { answers }: ReportAnswers = await link.send(...batch);
  expect(answers.map(({ reportId }) => reportId)).toEqual(batch.map(({ reportId }) => reportId));
});
