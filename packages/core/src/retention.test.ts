import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isMassRemoval,
  planRetention,
  type RetainedCopy,
  type RetentionInput,
  type RetentionPlan,
  type RetentionRules,
} from './retention.ts';

const dayMs = 86_400_000;
const now = Date.parse('2026-11-30T12:00:00Z');
const at = (iso: string) => Date.parse(iso);

function copy(id: string, when: string, more: Partial<RetainedCopy> = {}): RetainedCopy {
  return { backupId: id, at: at(when), state: 'good', safety: false, sizeBytes: 1000, ...more };
}

function plan(copies: readonly RetainedCopy[], more: Partial<RetentionInput> = {}): RetentionPlan {
  return planRetention({ now, copies, rules: {}, pins: [], least: 1, timezone: 'UTC', ...more });
}

const kept = ({ keep }: RetentionPlan) => keep.map(({ backupId }) => backupId);
const removed = ({ remove }: RetentionPlan) => remove.map(({ backupId }) => backupId);
/** One a day at 3, `days` of them, the newest last. */
const nightly = (days: number, last = '2026-11-30') =>
  Array.from({ length: days }, (_, back) => {
    const day = new Date(at(`${last}T03:00:00Z`) - (days - 1 - back) * dayMs).toISOString();
    return copy(day.slice(0, 10), day);
  });

describe('what is kept', () => {
  test('by days, counted from the newest good one: days of failure remove nothing', () => {
    const old = nightly(10, '2026-11-01');
    expect(kept(plan(old, { rules: { days: 7 } }))).toEqual(
      old
        .slice(3)
        .map(({ backupId }) => backupId)
        .toReversed(),
    );
    const failures = nightly(20).map((each) => ({ ...each, state: 'bad' as const }));
    expect(
      removed(plan([...old, ...failures], { rules: { days: 7 } })).filter(
        (id) => id >= '2026-10-26' && id <= '2026-11-01',
      ),
    ).toEqual([]);
  });

  test('by count, and a bad one is none of them; it goes no sooner than a good one would', () => {
    const bad = (when: string) => copy(`bad ${when}`, `2026-11-${when}T04:00:00Z`, { state: 'bad' });
    const copies = [...nightly(5), bad('29'), bad('27')];
    const { keep } = plan(copies, { rules: { count: 2 } });
    expect(keep.map(({ backupId }) => backupId)).toEqual(['2026-11-30', 'bad 29', '2026-11-29']);
    expect(keep[1]?.reasons).toEqual(['it is bad, and were it good, it is among the newest 2']);
  });

  test('grandfather, father and son', () => {
    const copies = [...nightly(800), copy('noon', '2026-11-29T12:00:00Z')];
    const { keep } = plan(copies, { rules: { daily: 3, weekly: 3, monthly: 3, yearly: 3 } });
    expect(keep.map(({ backupId }) => backupId)).toEqual([
      '2026-11-30',
      'noon',
      '2026-11-28',
      // Sundays are the last of their weeks; the 30th is a Monday.
      '2026-11-22',
      '2026-10-31',
      '2026-09-30',
      '2025-12-31',
      '2024-12-31',
    ]);
    expect(keep.find(({ backupId }) => backupId === 'noon')?.reasons).toEqual([
      'it is the last of its day, of 3',
      'it is the last of its week, of 3',
    ]);
  });

  test('by the days of a time zone', () => {
    // 23:30 in New York of the 28th, and 00:30 of the 29th.
    const copies = [copy('late', '2026-11-29T04:30:00Z'), copy('early', '2026-11-29T05:30:00Z'), ...nightly(1)];
    const rules = { daily: 9 };
    expect(kept(plan(copies, { rules, timezone: 'America/New_York' }))).toContain('late');
    expect(kept(plan(copies, { rules, timezone: 'UTC' }))).not.toContain('late');
  });

  test('the newest verified, whatever is newer and unproven', () => {
    const [old, ...newer] = nightly(9);
    const copies = [{ ...(old as RetainedCopy), state: 'verified' as const }, ...newer];
    expect(kept(plan(copies, { rules: { count: 2 } }))).toEqual(['2026-11-30', '2026-11-29', '2026-11-22']);
  });

  test('what is pinned, until its end', () => {
    const copies = nightly(5);
    const pins = [
      { backupId: '2026-11-26', reason: 'the audit', until: null },
      { backupId: '2026-11-27', reason: 'over', until: now },
      { backupId: '2026-11-28', reason: 'until tomorrow', until: now + dayMs },
    ];
    const { keep, remove } = plan(copies, { pins });
    expect(keep.map(({ backupId }) => backupId)).toEqual(['2026-11-30', '2026-11-28', '2026-11-26']);
    expect(keep.at(-1)?.reasons).toEqual(['it is pinned: the audit']);
    expect(remove).toEqual([
      { backupId: '2026-11-27', reason: 'no rule keeps it any more' },
      { backupId: '2026-11-29', reason: 'no rule keeps it any more' },
    ]);
  });

  test('the last before a drop in size, for a while', () => {
    const copies = nightly(200).map((each, day) => ({ ...each, sizeBytes: day < 150 ? 5000 : 1000 }));
    expect(kept(plan(copies, { rules: { days: 7 } })).at(-1)).toBe(copies[149]?.backupId);
    const longAgo = nightly(300).map((each, day) => ({ ...each, sizeBytes: day < 150 ? 5000 : 1000 }));
    expect(kept(plan(longAgo, { rules: { days: 7 } }))).toHaveLength(7);
  });

  test('what a wrong clock has dated in the future, by which nothing is counted', () => {
    const copies = [...nightly(9), copy('future', '2030-01-01T00:00:00Z')];
    expect(kept(plan(copies, { rules: { days: 2 } }))).toEqual(['future', '2026-11-30', '2026-11-29']);
  });

  test('what was made before a restore in place, for a while, and in the place of none', () => {
    const safety = (when: string) =>
      copy(`before ${when}`, `2026-${when}T12:00:00Z`, { safety: true, state: 'verified' });
    const copies = [...nightly(5), safety('11-30'), safety('11-27'), safety('10-01')];
    // Neither the newest, nor the only verified one, nor the last of its day.
    expect(kept(plan(copies, { rules: { count: 1, daily: 2 } }))).toEqual([
      'before 11-30',
      '2026-11-30',
      '2026-11-29',
      'before 11-27',
    ]);
    expect(kept(plan(copies, { rules: { days: 2 } }))).toEqual(['before 11-30', '2026-11-30', '2026-11-29']);
    expect(removed(plan([safety('11-30'), safety('10-01')], { rules: { days: 1 } }))).toEqual([]);
  });

  test('everything where nothing is good', () => {
    const copies = nightly(9).map((each) => ({ ...each, state: 'bad' as const }));
    expect(removed(plan(copies, { rules: { days: 1 } }))).toEqual([]);
  });
});

describe('much at once', () => {
  const isMass = (copies: RetainedCopy[], rules: RetentionRules) => {
    const input = { now, copies, rules, pins: [], least: 1, timezone: 'UTC' };
    return isMassRemoval(planRetention(input), input);
  };

  test('waits for a person: more than a third, and more than two', () => {
    const ofNewest = (count: number, of: number) => isMass(nightly(of), { count });
    expect([
      ofNewest(20, 30),
      ofNewest(19, 29),
      ofNewest(1, 2),
      ofNewest(1, 3),
      ofNewest(1, 4),
      isMass([], { count: 1 }),
    ]).toEqual([false, true, false, false, true, false]);
    // Rules that have become narrower.
    expect([isMass(nightly(30), { days: 3 }), isMass(nightly(4), { days: 3 })]).toEqual([true, false]);
  });

  test('does not, where it became old in a pause that was shorter than the window', () => {
    const before = (days: number) =>
      nightly(20).filter(({ at }) => at <= now - days * dayMs && at > now - (days + 7) * dayMs);
    expect([2, 5, 6].map((pause) => isMass([...nightly(1), ...before(pause)], { days: 7 }))).toEqual([
      false,
      false,
      false,
    ]);
    // Whatever the clock says, of what was there almost nothing would be left.
    expect([8, 12].map((pause) => isMass([...nightly(1), ...before(pause)], { days: 7 }))).toEqual([true, true]);
    // It did not go at the first backup after the pause: something was read just then.
    expect(isMass([...nightly(2), ...before(5)], { days: 7 })).toBe(false);
  });

  test('waits also where rules become narrower by half, and where pins end together', () => {
    const narrowed = [
      [30, 13],
      [365, 150],
      [14, 7],
    ] as const;
    expect(narrowed.map(([kept, days]) => isMass(nightly(kept), { days }))).toEqual([true, true, true]);
    const knownSince = now - 45 * dayMs;
    const atOnce = nightly(345).map((each) => ({ ...each, knownSince: Math.max(each.at, knownSince) }));
    expect(isMass(atOnce, { days: 30 })).toBe(true);
    const copies = nightly(90);
    const pins = copies.slice(0, 60).map(({ backupId }) => ({ backupId, reason: 'x', until: now - 1 }));
    const input = { now, copies, rules: { days: 30 }, pins, least: 1, timezone: 'UTC' };
    expect(isMassRemoval(planRetention(input), input)).toBe(true);
  });

  test('is so in small parts too, where it was not made up for', () => {
    const copies = nightly(12);
    const input = { now, copies, rules: { count: 10 }, pins: [], least: 1, timezone: 'UTC' };
    const lately = [
      { added: 0, removed: 0 },
      { added: 0, removed: 1 },
      { added: 0, removed: 4 },
      { added: 4, removed: 4 },
    ];
    const isMass = lately.map((each) => isMassRemoval(planRetention(input), input, each));
    expect(isMass).toEqual([false, false, true, false]);
    // Nothing goes: nothing waits.
    const all = { ...input, rules: { count: 12 } };
    expect(isMassRemoval(planRetention(all), all, { added: 0, removed: 9 })).toBe(false);
  });
});

test('a clock that is behind makes nobody’s newest backup an old one', () => {
  const behind = nightly(60).map((each) => ({ ...each, knownSince: each.at, at: each.at - 365 * dayMs }));
  const before = nightly(30, '2026-09-30').map((each) => ({
    ...each,
    backupId: `before ${each.backupId}`,
    knownSince: each.at,
  }));
  const ids = kept(plan([...before, ...behind], { rules: { count: 20 }, least: 2 }));
  expect(ids).toEqual(expect.arrayContaining(['2026-11-30', '2026-11-29']));
});

const anyCopy = fc.record({
  backupId: fc.uuid(),
  at: fc.integer({ min: now - 1500 * dayMs, max: now + 3 * dayMs }),
  state: fc.constantFrom<RetainedCopy['state']>('verified', 'good', 'good', 'bad'),
  safety: fc.constantFrom(false, false, false, true),
  sizeBytes: fc.integer({ min: 0, max: 10_000 }),
});
const limit = fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined });
const anyInput: fc.Arbitrary<RetentionInput> = fc
  .uniqueArray(anyCopy, { selector: ({ backupId }) => backupId, maxLength: 80 })
  .chain((copies) =>
    fc.record({
      now: fc.constant(now),
      copies: fc.constant(copies),
      rules: fc.record({ days: limit, count: limit, daily: limit, weekly: limit, monthly: limit, yearly: limit }),
      pins: fc.array(
        fc.record({
          backupId: copies.length === 0 ? fc.uuid() : fc.constantFrom(...copies.map(({ backupId }) => backupId)),
          reason: fc.constant('because'),
          until: fc.constantFrom(null, now - 1, now + 1),
        }),
        { maxLength: 3 },
      ),
      least: fc.integer({ min: 1, max: 5 }),
      timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Pacific/Apia', 'Asia/Kathmandu'),
    }),
  );

describe('property:', () => {
  const holds = (check: (input: RetentionInput, plan: RetentionPlan) => void) =>
    fc.assert(
      fc.property(anyInput, (input) => check(input, planRetention(input))),
      { numRuns: 500 },
    );

  test('each copy is kept or removed, and with a reason', () => {
    holds(({ copies }, { keep, remove }) => {
      const ids = [...keep, ...remove].map(({ backupId }) => backupId);
      expect(ids.toSorted()).toEqual(copies.map(({ backupId }) => backupId).toSorted());
      expect(keep.every(({ reasons }) => reasons.length > 0)).toBe(true);
    });
  });

  test('neither the newest verified nor the newest good ones go, nor a pin', () => {
    holds(({ copies, least, pins }, { remove }) => {
      const gone = new Set(remove.map(({ backupId }) => backupId));
      const past = copies.filter((each) => each.at <= now && !each.safety).toSorted((a, b) => b.at - a.at);
      for (const states of [['verified'], ['verified', 'good']]) {
        const newest = past.filter(({ state }) => states.includes(state)).slice(0, least);
        // Of several of one moment any may be taken for the newer.
        const oldest = newest.at(-1)?.at ?? 0;
        expect(newest.filter(({ backupId, at: moment }) => moment > oldest && gone.has(backupId))).toEqual([]);
      }
      expect(pins.filter(({ backupId, until }) => (until === null || until > now) && gone.has(backupId))).toEqual([]);
    });
  });

  test('the order of what is given does not matter, and what is left stays', () => {
    holds((input, made) => {
      expect(planRetention({ ...input, copies: input.copies.toReversed() })).toEqual(made);
      const ids = new Set(kept(made));
      const left = input.copies.filter(({ backupId }) => ids.has(backupId));
      expect(removed(planRetention({ ...input, copies: left }))).toEqual([]);
    });
  });

  test('days of failure remove nothing more', () => {
    holds((input, made) => {
      const later = planRetention({ ...input, now: now + 400 * dayMs, pins: [] });
      const pinned = new Set(input.pins.map(({ backupId }) => backupId));
      const wasFuture = new Set(input.copies.filter((each) => each.at > now).map(({ backupId }) => backupId));
      if (wasFuture.size > 0) return;
      expect(removed(later).filter((id) => !pinned.has(id))).toEqual(removed(made).filter((id) => !pinned.has(id)));
    });
  });
});
