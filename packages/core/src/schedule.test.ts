import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DueMoments, lookAt, type Followed } from './schedule.ts';

const momentsOf = (line: string, timezone: string, from: string, count: number) => {
  const due = new DueMoments({ line, timezone });
  const found: string[] = [];
  for (let at = Date.parse(from); found.length < count;) {
    at = due.after(at) ?? Number.NaN;
    found.push(new Date(at).toISOString().slice(0, 16));
  }
  return found;
};

describe('moments', () => {
  test.each([
    [
      'an hour that is skipped comes when it is over',
      '30 2 * * *',
      '2026-03-28T12:00Z',
      ['2026-03-29T01:00', '2026-03-30T00:30'],
    ],
    [
      'also in a list',
      '30 1,2 * * *',
      '2026-03-28T12:00Z',
      ['2026-03-29T00:30', '2026-03-29T01:00', '2026-03-29T23:30'],
    ],
    ['an hour that comes twice is once', '30 2 * * *', '2026-10-24T12:00Z', ['2026-10-25T00:30', '2026-10-26T01:30']],
    ['every hour is every hour', '0 * * * *', '2026-10-25T00:00Z', ['2026-10-25T01:00', '2026-10-25T02:00']],
    ['either day will do', '0 3 1 * 1', '2026-01-30T12:00Z', ['2026-02-01T02:00', '2026-02-02T02:00']],
  ])('%s: %s', (_, line, from, expected) => {
    expect(momentsOf(line, 'Europe/Berlin', from, expected.length)).toEqual(expected);
  });

  test('that never come', () => {
    const due = new DueMoments({ line: '0 0 30 2 *', timezone: 'UTC' });
    expect([due.after(0), due.until(0)]).toEqual([undefined, undefined]);
  });

  test('the last until a moment is the one that the first after it follows', () => {
    fc.assert(
      fc.property(schedules(), moments(), (schedule, ms) => {
        const due = new DueMoments(schedule);
        const last = due.until(ms);
        const next = due.after(ms);
        expect(last).toBeLessThanOrEqual(ms);
        expect(next).toBeGreaterThan(ms);
        expect(due.after(last ?? 0)).toBe(next);
        expect(due.until(last ?? 0)).toBe(last);
        expect(due.until(next ?? 0)).toBe(next);
      }),
    );
  });
});

const zones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Asia/Kolkata',
  'America/Sao_Paulo',
  'Africa/Cairo',
];
const minute = 60_000;
const year = 365.25 * 86_400_000;

function schedules() {
  const field = (from: number, to: number) =>
    fc.oneof(
      fc.integer({ min: from, max: to }).map(String),
      fc.constant('*'),
      fc
        .uniqueArray(fc.integer({ min: from, max: to }), { minLength: 2, maxLength: 3 })
        .map((all) => all.toSorted((a, b) => a - b).join()),
    );
  const line = fc
    .tuple(
      fc.integer({ min: 0, max: 59 }).map(String),
      field(0, 23),
      fc.constantFrom('*', '1', '15', '28'),
      fc.constant('*'),
      fc.constantFrom('*', '0', '1-5'),
    )
    .map((fields) => fields.join(' '));
  return fc.record({ line, timezone: fc.constantFrom(...zones) });
}

/** Of ten years. */
function moments() {
  return fc.integer({ min: Date.parse('2020-01-01'), max: Date.parse('2020-01-01') + 10 * year });
}

describe('a schedule that is followed', () => {
  /** What the clock does: it goes on; the host sleeps or is off; somebody sets it. */
  const steps = fc.array(
    fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant('runs' as const),
          ms: fc.integer({ min: 30 * minute, max: 50 * 60 * minute }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('away' as const),
          ms: fc.integer({ min: minute, max: 20 * 24 * 60 * minute }),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant('set' as const),
          ms: fc.integer({ min: -30 * 24 * 60 * minute, max: 30 * 24 * 60 * minute }),
        }),
      },
    ),
    { minLength: 1, maxLength: 30 },
  );

  test('fires once for each moment that comes while it looks, and once for all that came while it did not', () => {
    fc.assert(
      fc.property(schedules(), moments(), steps, (schedule, begin, all) => {
        const due = new DueMoments(schedule);
        const fired: number[] = [];
        let now = begin;
        let followed: Followed = { seenAt: now, moments: [] };
        const wrong: string[] = [];
        const check = (holds: boolean, what: string) =>
          void (holds || wrong.push(`${what}, at ${new Date(now).toISOString()}`));
        const look = () => {
          const seen = lookAt(due, followed, now);
          // As from a file: nothing but this is remembered.
          followed = JSON.parse(JSON.stringify(seen.followed)) as Followed;
          if (seen.due !== undefined) fired.push(seen.due);
          return seen.due;
        };
        for (const { kind, ms } of all) {
          const from = now;
          if (kind === 'runs') {
            // From one moment to the next, as looking each second finds them.
            for (let next = due.after(now); next !== undefined && next <= from + ms; next = due.after(now)) {
              now = next;
              const isNew = !fired.includes(next);
              check(look() === (isNew ? next : undefined), 'of a moment that comes');
            }
            now = from + ms;
            check(look() === undefined, 'where none has come');
          } else {
            now += ms;
            const last = due.until(now);
            const isMissed = last !== undefined && last > Math.min(from, now) && !fired.includes(last);
            const found = look();
            // Else it may be one that was passed over before, when several were missed at once.
            check(!isMissed || found === last, 'of what was missed');
            check(found === undefined || found > Math.min(from, now), 'of what was seen to');
          }
        }
        expect(wrong).toEqual([]);
        expect(new Set(fired).size).toBe(fired.length);
      }),
    );
  });

  test('each moment comes later by its own delay, and once', () => {
    const due = new DueMoments({ line: '0 * * * *', timezone: 'UTC' });
    const begin = Date.parse('2026-01-01T00:00:30Z');
    const delayOf = (moment: number) => ((moment / 3_600_000) % 7) * 9 * minute;
    let followed: Followed = { seenAt: begin, moments: [] };
    const fired: [moment: number, at: number][] = [];
    for (let now = begin; now < begin + 3 * 86_400_000; now += 30_000) {
      const look = lookAt(due, followed, now, { delayOf, mostDelayMs: 60 * minute });
      followed = look.followed;
      if (look.due !== undefined) fired.push([look.due, now]);
    }
    expect(fired.length).toBeGreaterThan(70);
    expect(new Set(fired.map(([moment]) => moment)).size).toBe(fired.length);
    for (const [moment, at] of fired) {
      expect(at - moment - delayOf(moment)).toBeGreaterThanOrEqual(0);
      expect(at - moment - delayOf(moment)).toBeLessThanOrEqual(30_000);
    }
  });
});
