import { newId } from '@strideiq/core';
import { mostBatchBytes, reportBatchSchema, reportKinds, type ReportKind } from '@strideiq/protocol';
import { propertyRuns } from '@strideiq/testkit';
import fc from 'fast-check';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../errors.ts';
import { fitted } from './fit-report.ts';
import { Journal, type NewRun } from './journal.ts';
import { openJournal } from './open-journal.ts';
import type { CopyOutcome, SealedBackup } from './schema.ts';

let directory = '';
let journal: Journal;
const now = Date.UTC(2026, 0, 11, 3);
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-reports-'));
  journal = new Journal(openJournal(directory), () => now);
});
afterEach(() => {
  journal.close();
  rmSync(directory, { recursive: true, force: true });
});

const databaseId = '11111111-1111-5111-8111-111111111111';
const storeId = '22222222-2222-5222-8222-222222222222';
const commandId = '0197f2a0-0000-7000-8000-000000000001';
const newRun = (kind: NewRun['kind'] = 'backup'): NewRun => ({
  id: newId(now),
  kind,
  environment: 'test',
  database: 'app',
  databaseId,
  detail: { commandId },
});
const reported = (kind: ReportKind = 'run') =>
  journal.outbox.batchAfter(0).flatMap((report) => (report.kind === kind ? [report.body] : []));

const sealed: SealedBackup = {
  objectName: 'app_20260111_030000.sql.gz',
  bytes: 10,
  rawBytes: 100,
  sha256: '0'.repeat(64),
  manifestSha256: '1'.repeat(64),
  rows: 5,
  tables: 2,
  snapshotAt: '2026-01-11T03:00:00.000Z',
  serverVersion: '15.8',
  pgDumpVersion: '15.8',
  databaseBytes: 1000,
  hasPrivileges: true,
};
const planned = { storeId, store: 'local', location: '/backups', dumpKey: sealed.objectName };
const stored: CopyOutcome = { ...planned, state: 'stored', sizeBytes: 10 };

describe('a run', () => {
  test('is reported when it begins and when it has ended, each time with all that is known', () => {
    const run = newRun();
    journal.begin(run);
    journal.finish(run.id, 'succeeded', { warnings: ['careful'] });
    const common = { runId: run.id, kind: 'backup', databaseId, commandId, startedAt: new Date(now).toISOString() };
    expect(reported()).toEqual([
      { ...common, state: 'running', warnings: [] },
      { ...common, state: 'succeeded', finishedAt: new Date(now).toISOString(), warnings: ['careful'] },
    ]);
    expect(reported('log')).toMatchObject([{ runId: run.id, lines: [{ level: 'warn', text: 'careful' }] }]);
  });

  test('that fails says why; one that was interrupted says in between that it is ending', async () => {
    const failing = newRun('verify');
    const stop = newRun('verify');
    const broken = new AgentError('DumpFailed', 'It broke.', 'Mend it.');
    await expect(journal.record(failing, () => Promise.reject(broken))).rejects.toThrow('It broke.');
    await expect(journal.record(stop, () => Promise.reject(new AgentError('Interrupted', 'Ctrl-C.')))).rejects.toThrow(
      'Ctrl-C.',
    );
    expect(reported().map(({ runId, state, error }) => [runId, state, error])).toEqual([
      [failing.id, 'running', undefined],
      [failing.id, 'failed', { code: 'DumpFailed', text: 'It broke. Mend it.' }],
      [stop.id, 'running', undefined],
      [stop.id, 'cancelling', undefined],
      [stop.id, 'cancelled', { code: 'Interrupted', text: 'Ctrl-C.' }],
    ]);
  });

  test('whose step cannot be taken is not reported either', () => {
    const run = newRun();
    journal.begin(run);
    journal.finish(run.id, 'failed');
    expect(() => journal.finish(run.id, 'succeeded')).toThrow(/cannot go/);
    expect(() => journal.begin(run)).toThrow(expect.objectContaining({ code: 'RunExists' }) as Error);
    expect(reported().map(({ state }) => state)).toEqual(['running', 'failed']);
  });

  test('that was called off before it began ends as cancelled', () => {
    const run = newRun();
    journal.callOff(run, { code: 'Interrupted', text: 'It was cancelled.' });
    expect(journal.get(run.id)?.state).toBe('cancelled');
    expect(reported().at(-1)).toMatchObject({ runId: run.id, state: 'cancelled' });
  });

  test('may be asked to end twice, and after its end', () => {
    const run = newRun();
    journal.begin(run);
    journal.cancelling(run.id);
    journal.cancelling(run.id);
    journal.finish(run.id, 'succeeded');
    journal.cancelling(run.id);
    expect(reported().map(({ state }) => state)).toEqual(['running', 'cancelling', 'succeeded']);
  });
});

describe('a backup', () => {
  const seal = {
    backupId: newId(now),
    manifest: '{}',
    manifestSha256: sealed.manifestSha256,
    privileges: null,
    globals: null,
  };

  test('is told with its copies, also when another process finished it', () => {
    const run = newRun();
    run.detail.backupId = seal.backupId;
    journal.begin(run);
    journal.describe(run.id, { copies: [planned] });
    journal.seal({ ...seal, runId: run.id }, sealed);
    const other = new Journal(openJournal(directory), () => now);
    other.finish(run.id, 'succeeded', { copies: [stored] });
    other.close();
    expect(reported().at(-1)).toMatchObject({
      backup: {
        ...sealed,
        backupId: seal.backupId,
        copies: [{ storeId, key: planned.dumpKey, state: 'stored', sizeBytes: 10 }],
      },
    });
  });

  test('is none where nothing was sealed, or where the run was broken off', () => {
    const [bare, cut] = [newRun(), newRun()];
    for (const run of [bare, cut]) journal.begin({ ...run, detail: { backupId: newId(now), copies: [planned] } });
    journal.seal({ ...seal, runId: cut.id }, sealed);
    journal.finish(bare.id, 'failed');
    journal.cancelling(cut.id);
    journal.finish(cut.id, 'cancelled');
    for (const body of reported()) expect(body).not.toHaveProperty('backup');
  });
});

test('whatever is said in a report, it is one of the protocol and fits in a batch', () => {
  // Short pieces repeated: text of any signs, around the longest that may be.
  const text = fc.tuple(fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 9000 }));
  const long = ([piece, length]: [string, number]) => piece.repeat(Math.ceil(length / piece.length));
  const copies = (error: string) =>
    Array.from({ length: 60 }, () => ({ ...planned, state: 'failed' as const, errorCode: 'X', error }));
  fc.assert(
    fc.property(fc.array(text, { maxLength: 40 }), text, (warnings, error) => {
      const run = newRun();
      journal.begin({ ...run, detail: { backupId: newId(now), sealed, copies: copies(long(error)) } });
      journal.finish(run.id, 'failed', { warnings: warnings.map(long) }, { code: 'X', text: long(error) });
      const { lastSeq } = journal.outbox.position();
      const reports = [lastSeq - 2, lastSeq - 1].flatMap((after) => journal.outbox.batchAfter(after, 1));
      expect(reports.map(({ kind }) => kind)).toEqual(['log', 'run']);
      for (const report of reports) {
        const batch = JSON.stringify({ journalId: run.id, reports: [report] });
        expect(Buffer.byteLength(batch)).toBeLessThanOrEqual(mostBatchBytes);
        // As the other side reads it.
        const [read] = reportBatchSchema.parse(JSON.parse(batch)).reports;
        reportKinds[report.kind as 'log' | 'run'].parse(read?.body);
      }
    }),
    { numRuns: propertyRuns(30) },
  );
});

test('what is cut is words alone', () => {
  const body = { key: 'k'.repeat(9000), error: { code: 'X', text: 't'.repeat(9000) }, warnings: ['w'.repeat(8000)] };
  const { key, error, warnings } = fitted(body, new Set());
  expect([key.length, error.text.length, error.text.at(-1), warnings[0]?.length]).toEqual([9000, 8000, '…', 8000]);
});
