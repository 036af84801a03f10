import { newId } from '@strideiq/core';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  hours,
  journalBackup,
  journalDeletion,
  storeIdOf,
  type JournalledBackup,
} from '../testing/journalled-backup.ts';
import { Journal } from './journal.ts';
import { openJournal, type JournalDatabase } from './open-journal.ts';
import type { Run } from './schema.ts';

const dayMs = hours(24);
let directory = '';
let db: JournalDatabase;
let journal: Journal;
let now = 0;
beforeEach(() => {
  now = Date.UTC(2025, 0, 1);
  directory = mkdtempSync(join(tmpdir(), 'strideiq-old-runs-'));
  db = openJournal(directory);
  journal = new Journal(db, () => now);
});
afterEach(() => {
  journal.close();
  rmSync(directory, { recursive: true, force: true });
});

const databaseId = '11111111-1111-5111-8111-111111111111';
function ended(kind: Run['kind'], detail: Run['detail'] = {}): string {
  const id = newId(now);
  journal.begin({ id, kind, environment: 'test', database: 'app', databaseId, detail });
  journal.finish(id, 'succeeded');
  now += 1;
  return id;
}
const known = (ids: readonly string[]) => ids.filter((id) => journal.get(id) !== undefined);

describe('runs that have ended', () => {
  test.each(['verify', 'drill'] as const)('are let go of after a season: %s, but for the newest', (kind) => {
    const old = Array.from({ length: 25 }, () => ended(kind));
    now += 89 * dayMs;
    journal.prune(true);
    expect(known(old)).toEqual(old);
    const young = ended(kind);
    now += 2 * dayMs;
    journal.prune(true);
    expect(known([...old, young])).toEqual([...old.slice(-19), young]);
  });

  test('are kept where they gave a database its name, since what was replaced may be kept', () => {
    const inPlace = ended('restore');
    for (let n = 0; n < 30; n++) ended('restore');
    now += 400 * dayMs;
    journal.prune(true);
    expect(known([inPlace])).toEqual([inPlace]);
  });

  test('are kept where they have not ended', () => {
    const id = newId(now);
    journal.begin({ id, kind: 'drill', environment: 'test', database: 'app', databaseId, detail: {} });
    for (let n = 0; n < 30; n++) ended('drill');
    now += 400 * dayMs;
    journal.prune(true);
    expect(known([id])).toEqual([id]);
  });

  test('a backup’s is kept, and what proves that it is ours, until somebody has seen that it is gone', () => {
    const { runId } = journalBackup(journal, 'app', now);
    for (let n = 1; n <= 30; n++) journalBackup(journal, 'app', now + hours(n));
    now += 400 * dayMs;
    journal.prune(true);
    const { backupId = '', sealed } = journal.get(runId)?.detail ?? {};
    expect(journal.knowsManifest(backupId, sealed?.manifestSha256 ?? '')).toBe(true);
    expect(journal.madeBackup(sealed?.objectName ?? '')).toBe(true);
  });
});

/** Two databases for 400 days, a backup of each every night, seven days of them in a directory and thirty in a bucket. */
describe('400 days', () => {
  const databases = ['one', 'two'];
  const everyMs = dayMs;
  const keptMs = { local: 7 * dayMs, s3: 30 * dayMs };

  /** @returns pages in use, and rows by table */
  function size(): { bytes: number; rows: Record<string, number> } {
    const of = (pragma: string) => db.$client.pragma(pragma, { simple: true }) as number;
    const tables = ['runs', 'seals', 'reports', 'findings', 'commands', 'schedules', 'due_runs'];
    const count = (table: string) => db.$client.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number;
    return {
      bytes: of('page_count') * of('page_size'),
      rows: Object.fromEntries(tables.map((table) => [table, count(table)])),
    };
  }

  function live(days: number, delivers: boolean): ReturnType<typeof size> {
    // Not the disk is looked at here, nor a power cut.
    db.$client.pragma('synchronous = OFF');
    let backups: JournalledBackup[] = [];
    for (const end = now + days * dayMs; now < end;) {
      db.transaction(() => {
        for (const dayEnd = now + dayMs; now < dayEnd; now += everyMs) {
          for (const database of databases) {
            const isFailure = (now / everyMs) % 10 === 0;
            const made = journalBackup(journal, database, now, isFailure);
            if (!isFailure) backups.push(made);
          }
          const gone = backups.filter(({ at }) => at <= now - keptMs.local && at > now - keptMs.local - everyMs);
          for (const backup of gone) journalDeletion(journal, backup);
        }
      });
      if (delivers) {
        const waiting = db.$client.prepare('SELECT report_id AS reportId FROM reports WHERE answered_at IS NULL').all();
        journal.outbox.answered(
          (waiting as { reportId: string }[]).map(({ reportId }) => ({ reportId, answer: 'accepted' as const })),
        );
      }
      backups = backups.filter(({ at }) => at > now - keptMs.s3);
      journal.prune(true);
      for (const database of databases) letGo(database, backups);
    }
    return size();
  }

  /** As the daemon does it once a day, by what the stores hold. */
  function letGo(database: string, backups: readonly JournalledBackup[]): void {
    const own = backups.filter((each) => each.database === database);
    const databaseId = own[0]?.databaseId ?? '';
    const heldFor = (keptFor: number) =>
      new Set(own.filter(({ at }) => at > now - keptFor).map(({ dumpKey }) => dumpKey));
    const there = new Map([
      [storeIdOf('local', database), heldFor(keptMs.local)],
      [storeIdOf('s3', database), heldFor(keptMs.s3)],
    ]);
    const gone = journal.old
      .backups(databaseId)
      .filter(({ copies }) => copies.every(({ storeId, dumpKey }) => there.get(storeId)?.has(dumpKey) === false));
    journal.old.letGo(
      databaseId,
      gone.map(({ runId }) => runId),
      there,
    );
  }

  test('make a journal of a season, which grows no more', () => {
    const half = live(200, true);
    const whole = live(200, true);
    const perDay = databases.length;
    // Ninety days of a backup and its verify each; and thirty of what was told of them.
    expect(whole.rows['runs']).toBeLessThanOrEqual(2 * 92 * perDay);
    expect(whole.rows['seals']).toBeLessThanOrEqual(92 * perDay);
    expect(whole.rows['findings']).toBeGreaterThan(5 * perDay);
    expect(whole.rows['findings']).toBeLessThanOrEqual(8 * perDay);
    expect(whole.rows['reports']).toBeLessThanOrEqual(32 * perDay * 8);
    expect(whole.rows['runs']).toBeLessThanOrEqual((half.rows['runs'] ?? 0) * 1.01);
    expect(whole.bytes).toBeLessThanOrEqual(half.bytes * 1.05);
    expect(whole.bytes).toBeLessThan(2 * 1024 * 1024);
  }, 240_000);
});

describe('a disk that is full', () => {
  test('is said, and loses nothing: not by what is written, and not by what is let go of', () => {
    for (let n = 0; n < 40; n++) journalBackup(journal, 'app', now + hours(n));
    journal.outbox.answered(journal.outbox.batchAfter(0).map(({ reportId }) => ({ reportId, answer: 'accepted' })));
    now += 400 * dayMs;
    const before = db.$client.prepare('SELECT count(*) FROM reports').pluck().get();
    const runs = db.$client.prepare('SELECT count(*) FROM runs').pluck().get();
    // As many pages as there are.
    const pages = db.$client.pragma('page_count', { simple: true }) as number;
    db.$client.pragma(`max_page_count = ${pages}`);
    const fill = () => {
      for (let n = 0; n < 1000; n++) ended('verify');
    };
    expect(fill).toThrow(/database or disk is full/);
    const kept = db.$client.prepare('SELECT count(*) FROM runs').pluck().get() as number;
    // Each run has its reports, and each report its run: nothing was written by half.
    const told = db.$client.prepare(
      `SELECT count(DISTINCT json_extract(body, '$.runId')) FROM reports WHERE kind = 'run'`,
    );
    expect(told.pluck().get()).toBe(kept);
    expect(kept).toBeGreaterThanOrEqual(runs as number);
    expect(db.$client.prepare('SELECT count(*) FROM reports').pluck().get()).toBeGreaterThanOrEqual(before as number);
    db.$client.exec(
      `CREATE TEMP TRIGGER full BEFORE DELETE ON main.runs BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`,
    );
    expect(() => journal.prune(true)).toThrow(/database or disk is full/);
    // All of it or nothing: also what could have gone is there.
    expect(journal.outbox.batchAfter(0)[0]?.seq).toBe(1);
    db.$client.exec('DROP TRIGGER temp.full');
    journal.prune(true);
    expect(journal.outbox.batchAfter(0)[0]?.seq).not.toBe(1);
    // There is room again within the same file.
    ended('verify');
    expect(db.$client.pragma('page_count', { simple: true })).toBe(pages);
  });
});
