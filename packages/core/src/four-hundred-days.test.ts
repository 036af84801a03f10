import { expect, test } from 'vitest';
import { isMassRemoval, planRetention, type RetainedCopy, type RetentionRules } from './retention.ts';
import { DueMoments, lookAt, type Followed } from './schedule.ts';

/** 400 nights of one database in Berlin, looked at every ten minutes, with what goes wrong on the way. */

const timezone = 'Europe/Berlin';
const nightly = new DueMoments({ line: '30 2 * * *', timezone });
const begins = Date.parse('2025-01-01T00:00:00+01:00');
const ends = Date.parse('2026-02-04T12:00:00+01:00');
/** pg_dump failed: nothing was stored. */
const failed = new Set(['2025-06-30', '2026-02-02', '2026-02-03']);
/** The host was away. */
const [awayFrom, awayUntil] = [Date.parse('2025-12-24T00:00Z'), Date.parse('2026-01-05T12:00Z')];
/** Read back on Sundays; the one of that night was found to be corrupt. */
const corrupt = '2026-01-31';
/** Somebody deleted most of the rows. */
const shrunk = '2026-01-20';

const dayOf = (at: number) => new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, dateStyle: 'short' }).format(at);
const isSunday = (day: string) => new Date(day).getUTCDay() === 0;

/** @returns names of what is kept, newest first; each moment that one was made for; days on which somebody had to look first */
function keptAfterAll(rules: RetentionRules): { kept: string[]; made: number[]; waited: string[] } {
  let followed: Followed = { seenAt: begins, moments: [] };
  let copies: RetainedCopy[] = [];
  const made: number[] = [];
  const waited: string[] = [];
  for (let now = begins; now <= ends; now += 600_000) {
    if (now >= awayFrom && now < awayUntil) continue;
    const look = lookAt(nightly, followed, now);
    ({ followed } = look);
    // Missed by more than a day it is too late, and the next one is made.
    if (look.due === undefined || now - look.due > 86_400_000) continue;
    const day = dayOf(look.due);
    if (failed.has(day)) continue;
    made.push(look.due);
    const sizeBytes = day < shrunk ? 3000 : 1000;
    copies.push({ backupId: day, at: look.due, state: 'good', safety: false, sizeBytes });
    copies = copies.map((copy) => {
      if (copy.backupId === corrupt && day > corrupt) return { ...copy, state: 'bad' };
      return copy.backupId === day && isSunday(day) ? { ...copy, state: 'verified' } : copy;
    });
    const input = { now, copies, rules, pins: [], least: 1, timezone };
    const plan = planRetention(input);
    if (isMassRemoval(plan, input)) waited.push(day);
    const gone = new Set(plan.remove.map(({ backupId }) => backupId));
    copies = copies.filter(({ backupId }) => !gone.has(backupId));
  }
  return { kept: copies.map(({ backupId }) => backupId).toReversed(), made, waited };
}

test('a bucket keeps weeks, months and years of them', () => {
  const { kept, made, waited } = keptAfterAll({ days: 7, weekly: 4, monthly: 12, yearly: 2 });
  expect(kept).toEqual([
    '2026-02-04', // the newest; of its week, month and year the last
    '2026-02-01', // of seven days, and of the week before
    '2026-01-31', // corrupt, and young enough to be looked at
    '2026-01-30', // the last good one of January
    '2026-01-29',
    '2026-01-25', // of the third week
    '2026-01-19', // before the rows went
    '2026-01-18', // of the fourth week
    '2025-12-23', // of December, and of 2025: then the host was away
    '2025-11-30',
    '2025-10-31',
    '2025-09-30',
    '2025-08-31',
    '2025-07-31',
    '2025-06-29', // the 30th failed
    '2025-05-31',
    '2025-04-30',
    '2025-03-31', // of the twelfth month
  ]);
  // What had become old while the host was away goes at once, when it is back.
  expect(waited).toEqual(['2026-01-05']);
  // Each night once, the one whose hour is skipped and the one whose hour comes twice too.
  expect(new Set(made.map(dayOf)).size).toBe(made.length);
  expect(made).toHaveLength(400 - failed.size - 12);
  expect(made).toEqual(expect.arrayContaining(['2025-03-30T01:00Z', '2025-10-26T00:30Z'].map((at) => Date.parse(at))));
});

test('a directory keeps seven days of them', () => {
  const { kept, waited } = keptAfterAll({ days: 7 });
  // The week before the host was away goes at once, when it is back.
  expect(waited).toEqual(['2026-01-05']);
  expect(kept).toEqual(['2026-02-04', '2026-02-01', '2026-01-31', '2026-01-30', '2026-01-29', '2026-01-19']);
});
