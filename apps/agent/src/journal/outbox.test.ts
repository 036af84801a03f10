import { keepReportsMs, mostBatchBytes, mostBatchReports, reportBatchSchema } from '@strideiq/protocol';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openJournal, type JournalDatabase } from './open-journal.ts';
import { Outbox } from './outbox.ts';

const runId = '0197f2a0-0000-7000-8000-000000000000';
const dayMs = 24 * 60 * 60 * 1000;

let directory = '';
let db: JournalDatabase;
let now = Date.UTC(2026, 0, 11);
let outbox: Outbox;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-outbox-'));
  db = openJournal(directory);
  outbox = new Outbox(db, () => now, new Set(['hunter22']));
});
afterEach(() => {
  db.$client.close();
  rmSync(directory, { recursive: true, force: true });
});

const write = (text = 'a line') =>
  outbox.write('log', { runId, lines: [{ at: new Date(now).toISOString(), level: 'info', text }] });
const seqs = (after: number) => outbox.batchAfter(after).map(({ seq }) => seq);
/** As the control plane would: all that was sent is accepted. */
const deliver = () => {
  const batch = outbox.batchAfter(0);
  outbox.sending(batch.at(-1)?.seq ?? 0);
  outbox.answered(batch.map(({ reportId }) => ({ reportId, answer: 'accepted' as const })));
};

test('reports have places from 1 on without holes, also when two processes write at once', async () => {
  const script = `
    const { openJournal } = await import(${JSON.stringify(join(import.meta.dirname, 'open-journal.ts'))});
    const { Outbox } = await import(${JSON.stringify(join(import.meta.dirname, 'outbox.ts'))});
    const db = openJournal(${JSON.stringify(directory)});
    const outbox = new Outbox(db, Date.now, new Set());
    for (let n = 0; n < 100; n++) outbox.write('log', { runId: ${JSON.stringify(runId)}, lines: [] });
    db.$client.close();`;
  const process_ = async () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  const others = [process_(), process_()];
  for (let n = 0; n < 100; n++) write();
  await Promise.all(others);
  expect(seqs(0)).toEqual(Array.from({ length: 300 }, (_, at) => at + 1));
  expect(outbox.position().lastSeq).toBe(300);
}, 60_000);

describe('a batch', () => {
  test('goes on where the last one ended, and is one of the protocol', () => {
    for (let n = 0; n < mostBatchReports + 3; n++) write();
    const { journalId } = outbox.position();
    const first = outbox.batchAfter(0);
    expect(reportBatchSchema.parse({ journalId, reports: first }).reports.length).toBe(mostBatchReports);
    expect(seqs(mostBatchReports)).toEqual([501, 502, 503]);
    expect(seqs(503)).toEqual([]);
  });

  test('is never larger than the protocol takes', () => {
    const { journalId } = outbox.position();
    for (let n = 0; n < 100; n++) write('ü'.repeat(7000));
    let after = 0;
    while (after < 100) {
      const reports = outbox.batchAfter(after);
      expect(Buffer.byteLength(JSON.stringify({ journalId, reports }))).toBeLessThanOrEqual(mostBatchBytes);
      after = reports.at(-1)?.seq ?? 100;
    }
  });
});

test('no secret leaves in a report', () => {
  write('the password hunter22 is wrong');
  expect(JSON.stringify(outbox.batchAfter(0))).toContain('the password *** is wrong');
});

describe('what the control plane has recorded', () => {
  test('is taken for delivered, though its answer was lost', () => {
    for (let n = 0; n < 3; n++) write();
    outbox.sending(3);
    expect(outbox.reconcile(2)).toBe(true);
    expect(outbox.outstanding().waiting).toBe(1);
  });

  test('may be less than was acknowledged: then all above it is sent again', () => {
    for (let n = 0; n < 3; n++) write();
    deliver();
    expect(outbox.reconcile(1)).toBe(true);
    expect(seqs(1)).toEqual([2, 3]);
  });

  test.each([
    ['before anything new was written', 0],
    ['after as much was written again', 5],
  ])('may be more than ever left here, seen %s: a new journal with the same reports begins', (_, written) => {
    for (let n = 0; n < 4; n++) write(`kept ${n}`);
    deliver();
    const { journalId } = outbox.position();
    const ids = outbox.batchAfter(0).map(({ reportId }) => reportId);
    // The state directory is that of a moment at which two more were still to come.
    for (let n = 0; n < written; n++) write();
    expect(outbox.reconcile(6)).toBe(false);
    const after = outbox.position();
    expect(after.journalId).not.toBe(journalId);
    expect(after.lastSeq).toBe(4 + written);
    expect(seqs(0)).toEqual(Array.from({ length: 4 + written }, (_, at) => at + 1));
    expect(
      outbox
        .batchAfter(0)
        .map(({ reportId }) => reportId)
        .slice(0, 4),
    ).toEqual(ids);
    // The new journal is unknown there.
    expect(outbox.reconcile(0)).toBe(true);
    write();
    expect(outbox.position().lastSeq).toBe(5 + written);
  });
});

test('a rejected report is set aside and shown', () => {
  write();
  const [report] = outbox.batchAfter(0);
  const reportId = report?.reportId ?? '';
  outbox.answered([{ reportId, answer: 'rejected', code: 'NotOwner', text: 'not yours' }]);
  expect(outbox.outstanding()).toMatchObject({
    waiting: 0,
    rejected: [{ reportId, code: 'NotOwner', reason: 'not yours' }],
  });
});

describe('after a while', () => {
  test('reports that were acknowledged are let go of 30 days later, and places are not given twice', () => {
    write();
    deliver();
    now += keepReportsMs - dayMs;
    write();
    outbox.prune(true);
    expect(seqs(0)).toEqual([1, 2]);
    now += 2 * dayMs;
    outbox.prune(true);
    expect(seqs(0)).toEqual([2]);
    deliver();
    now += 40 * dayMs;
    outbox.prune(true);
    expect(seqs(0)).toEqual([]);
    write();
    expect(seqs(0)).toEqual([3]);
  });

  test.each([
    [true, [1]],
    [false, []],
  ])('reports that wait are kept where the host is enrolled (%s), however long', (enrolled, kept) => {
    write();
    now += enrolled ? 3 * 365 * dayMs : keepReportsMs + dayMs;
    outbox.prune(enrolled);
    expect(seqs(0)).toEqual(kept);
  });

  test('of more logs than are kept for a control plane that is away the oldest are shortened, say so, and keep their places', () => {
    const long = 'x'.repeat(8000);
    const lines = Array.from({ length: 25 }, () => ({
      at: new Date(now).toISOString(),
      level: 'info' as const,
      text: long,
    }));
    const logs = Math.ceil((64 * 1024 * 1024) / (25 * 8000)) + 10;
    db.transaction(() => {
      write();
      for (let n = 0; n < logs; n++) outbox.write('log', { runId, lines });
      outbox.write('command', { commandId: runId, state: 'done' });
    });
    const shortened = outbox.prune(true);
    expect(shortened).toBeGreaterThanOrEqual(10);
    expect(shortened).toBeLessThan(20);
    expect(outbox.prune(true)).toBe(0);
    const all = Array.from({ length: logs + 2 }, (_, at) => outbox.batchAfter(at, 1)[0]);
    expect(all.map((report) => report?.seq)).toEqual(all.map((_, at) => at + 1));
    const text = all.map((report) => (report?.body['lines'] as { text: string }[] | undefined)?.[0]?.text);
    expect(text[0]).toBe('a line');
    expect(text.slice(1, shortened + 1)).toEqual(Array(shortened).fill(expect.stringMatching(/^25 lines of this log/)));
    expect(text.slice(shortened + 1)).toEqual([...Array(logs - shortened).fill(long), undefined]);
    const { journalId } = outbox.position();
    expect(reportBatchSchema.parse({ journalId, reports: outbox.batchAfter(0) }).reports[1]?.body).toMatchObject({
      runId,
    });
  });
});
