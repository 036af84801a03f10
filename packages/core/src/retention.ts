import { z } from 'zod';

const kept = (what: string) => z.int().min(1).max(36_500).optional().describe(what);

/** How long copies of one store are kept. A backup is kept if any of the rules keeps it. */
export const retentionRulesSchema = z.strictObject({
  days: kept('Keeps every backup that is younger, counted from the newest good one.'),
  count: kept('Keeps this many newest.'),
  daily: kept('Keeps the last of a day, for this many days.'),
  weekly: kept('Keeps the last of a week, for this many weeks.'),
  monthly: kept('Keeps the last of a month, for this many months.'),
  yearly: kept('Keeps the last of a year, for this many years.'),
});
export type RetentionRules = z.output<typeof retentionRulesSchema>;

/** Where nobody says otherwise: as the runbook had it. */
export const usualRetention: Record<'directory' | 's3', RetentionRules> = { directory: { days: 7 }, s3: { days: 30 } };

/** A copy in one store, as far as retention looks at it. */
export interface RetainedCopy {
  backupId: string;
  /** The moment that its data are of, milliseconds since 1970. */
  at: number;
  /** `good`: the store has confirmed it, and nothing has shown otherwise since. */
  state: 'verified' | 'good' | 'bad';
  /** Made just before its database was to be replaced, of what somebody wanted to be rid of: nobody's newest. */
  safety: boolean;
  sizeBytes: number;
  /**
   * When whoever plans has heard of it first, by a clock of its own: whatever date a host gives a backup, it goes no sooner
   * than one of that day would. Left out: nobody else's clock has a say.
   */
  knownSince?: number;
}

/** Somebody wants a backup kept, whatever the rules say. */
export interface Pin {
  backupId: string;
  reason: string;
  /** Milliseconds since 1970; null: until it is taken off. */
  until: number | null;
}

export interface RetentionInput {
  now: number;
  /** All copies that one store holds of one database. */
  copies: readonly RetainedCopy[];
  rules: RetentionRules;
  pins: readonly Pin[];
  /** So many of the newest are kept, whatever the rules say: verified ones, and good ones. */
  least: number;
  /** IANA name: whose days, weeks, months and years. */
  timezone: string;
}

export interface Kept {
  backupId: string;
  /** In the words of people, each for itself reason enough. */
  reasons: string[];
}

export interface Removed {
  backupId: string;
  reason: string;
}

export interface RetentionPlan {
  /** Newest first. */
  keep: Kept[];
  /** Oldest first. */
  remove: Removed[];
}

const dayMs = 86_400_000;
/** How far a host's clock may be ahead before a backup of its is taken for one of the future. */
export const clockToleranceMs = 60_000;
/** A backup that is so many times the newest one's size was made before rows were lost. */
const dropFactor = 2;
/** How long that is known for one. */
const dropDays = 90;
/** How long a backup stays after it became known, where no rule goes by days. */
const usualKnownDays = 7;
/** How long a safety backup is kept where no rule goes by days. */
const safetyDays = 7;

/**
 * What of a store's copies is kept, and what goes. It depends on nothing but what is given, not on its order either; what
 * is left after a removal is planned to stay. Windows reach back from the newest good copy: days of failure remove nothing.
 */
export function planRetention(input: RetentionInput): RetentionPlan {
  const copies = input.copies.toSorted(newestFirst);
  const reasons = new Map<string, string[]>(copies.map(({ backupId }) => [backupId, []]));
  const note = (backupId: string, reason: string) => void reasons.get(backupId)?.push(reason);
  const dated = copies.filter(({ at }) => at <= input.now + clockToleranceMs);
  for (const { backupId, at } of copies) {
    if (at > input.now + clockToleranceMs) note(backupId, 'it is dated in the future, by a clock that was off');
  }
  const good = dated.filter(({ state, safety }) => state !== 'bad' && !safety);
  const verified = good.filter(({ state }) => state === 'verified');
  for (const [what, newest] of [
    ['verified', verified],
    ['good', good],
  ] as const) {
    for (const { backupId } of newest.slice(0, Math.max(1, input.least)))
      note(backupId, `it is among the newest ${what}`);
  }
  for (const { backupId, reason, until } of input.pins) {
    if (until === null || until > input.now) note(backupId, `it is pinned: ${reason}`);
  }
  const [newest] = good;
  // Without a good one nobody can say what may go.
  if (!newest) for (const { backupId } of dated) note(backupId, 'there is no good copy');
  else {
    for (const [backupId, reason] of keptByRules(good, newest, input)) note(backupId, reason);
    const large = good.find(
      ({ sizeBytes, at }) =>
        sizeBytes >= newest.sizeBytes * dropFactor && sizeBytes > 0 && at > newest.at - dropDays * dayMs,
    );
    if (large) note(large.backupId, 'it is the last before the size dropped to less than half');
    const { days } = input.rules;
    for (const { backupId, knownSince = Number.NEGATIVE_INFINITY } of dated) {
      if (knownSince > input.now - (days ?? usualKnownDays) * dayMs) note(backupId, 'it became known not long ago');
    }
    for (const newest of [verified, good]) {
      for (const { backupId } of lastKnown(newest, Math.max(1, input.least)))
        note(backupId, 'it is among those that became known last');
    }
    for (const { backupId, at, safety } of dated) {
      const isYounger = (limit: number) => at > newest.at - limit * dayMs;
      if (safety && isYounger(days ?? safetyDays))
        note(backupId, 'it was made before a restore in place, not long ago');
    }
    // A finding may be wrong, and a copy may be mended: it goes no sooner than a good one would.
    const asGood = dated.filter(({ safety }) => !safety);
    const bad = new Set(asGood.filter(({ state }) => state === 'bad').map(({ backupId }) => backupId));
    for (const [backupId, reason] of keptByRules(asGood, newest, input)) {
      if (bad.has(backupId)) note(backupId, `it is bad, and were it good, ${reason}`);
    }
  }
  const isKept = ({ backupId }: RetainedCopy) => (reasons.get(backupId) ?? []).length > 0;
  return {
    keep: copies.filter(isKept).map(({ backupId }) => ({ backupId, reasons: reasons.get(backupId) ?? [] })),
    remove: copies
      .filter((copy) => !isKept(copy))
      .toReversed()
      .map(({ backupId, state }) => ({
        backupId,
        reason: state === 'bad' ? 'it is bad, and no rule would keep it were it good' : 'no rule keeps it any more',
      })),
  };
}

/** What has come into a store and gone from it lately: over how long is for whoever counts. */
export interface Turnover {
  added: number;
  removed: number;
}

/**
 * Whether so much would go that a person has to look first: more than a third of what the store holds of the database, and
 * more than the few that a small count turns over. At once, or together with what went lately and was not made up for, so
 * that many small removals are not overlooked. What piled up in a pause that was shorter than the window of days is no such
 * thing: day by day it would have gone as well, and nobody may be there to look.
 */
export function isMassRemoval(
  plan: RetentionPlan,
  input: RetentionInput,
  lately: Turnover = { added: 0, removed: 0 },
): boolean {
  if (isMuch(plan)) return !isOfPause(input);
  return plan.remove.length > 0 && isMuch(plan, lately.removed - lately.added);
}

function isOfPause(input: RetentionInput): boolean {
  const { days } = input.rules;
  if (days === undefined) return false;
  const [newest, ...earlier] = input.copies
    .filter(({ state, safety, at }) => state !== 'bad' && !safety && at <= input.now + clockToleranceMs)
    .toSorted(newestFirst);
  if (!newest) return false;
  // What has ended just now, be it a pin, is no pause.
  const pins = input.pins.filter(({ until }) => until === null || until > input.now);
  const copies = input.copies.map((copy) => ({ ...copy, knownSince: Number.NEGATIVE_INFINITY }));
  // Planned as of a backup before the pause hardly anything goes; with rules that have become narrower as much as now.
  const asOf = (moment: number) =>
    planRetention({ ...input, pins, now: moment, copies: copies.filter(({ at }) => at <= moment) });
  // The longest pause of the window, and what there was just before it.
  const within = [newest, ...earlier.filter(({ at }) => at > newest.at - days * dayMs)];
  const pauses = within.slice(1).map((before, at) => ({ before, ms: (within[at]?.at ?? 0) - before.at }));
  const longest = pauses.reduce<(typeof pauses)[number] | undefined>(
    (best, each) => (best === undefined || each.ms > best.ms ? each : best),
    undefined,
  );
  return longest !== undefined && !isMuch(asOf(longest.before.at));
}

/** @param more that went lately, less what came */
function isMuch({ keep, remove }: RetentionPlan, more = 0): boolean {
  const lost = remove.length + more;
  return lost > 2 && lost * 3 > keep.length + remove.length + more;
}

/** By the clock of whoever plans, where it has a say: one that is off on a host makes nobody's newest backup an old one. */
function lastKnown(copies: readonly RetainedCopy[], count: number): RetainedCopy[] {
  const known = copies.filter(({ knownSince }) => knownSince !== undefined);
  return known.toSorted((one, other) => (other.knownSince ?? 0) - (one.knownSince ?? 0)).slice(0, count);
}

function newestFirst(one: RetainedCopy, other: RetainedCopy): number {
  return other.at - one.at || (one.backupId < other.backupId ? 1 : -1);
}

/** @param good newest first */
function* keptByRules(
  good: readonly RetainedCopy[],
  newest: RetainedCopy,
  { rules, timezone }: RetentionInput,
): Generator<[backupId: string, reason: string]> {
  const { days, count } = rules;
  for (const [place, { backupId, at }] of good.entries()) {
    if (days !== undefined && at > newest.at - days * dayMs) yield [backupId, `it is younger than ${days} days`];
    if (count !== undefined && place < count) yield [backupId, `it is among the newest ${count}`];
  }
  const calendar = new Calendar(timezone);
  for (const [unit, periodOf] of Object.entries(periods) as [Unit, PeriodOf][]) {
    const limit = rules[unit];
    if (limit === undefined) continue;
    const newestPeriod = periodOf(calendar.dateOf(newest.at));
    const seen = new Set<number>();
    for (const { backupId, at } of good) {
      const period = periodOf(calendar.dateOf(at));
      if (seen.has(period)) continue;
      seen.add(period);
      if (newestPeriod - period < limit) yield [backupId, `it is the last of its ${words[unit]}, of ${limit}`];
    }
  }
}

type Unit = 'daily' | 'weekly' | 'monthly' | 'yearly';
type PeriodOf = (date: CivilDate) => number;

const words: Record<Unit, string> = { daily: 'day', weekly: 'week', monthly: 'month', yearly: 'year' };

/** Which of its kind a date is in, counted without gaps. Weeks begin on Monday; 1970 began on a Thursday. */
const periods: Record<Unit, PeriodOf> = {
  daily: ({ dayNumber }) => dayNumber,
  weekly: ({ dayNumber }) => Math.floor((dayNumber + 3) / 7),
  monthly: ({ year, month }) => year * 12 + month,
  yearly: ({ year }) => year,
};

interface CivilDate {
  year: number;
  /** 1 to 12. */
  month: number;
  /** Days since 1970-01-01 on that calendar. */
  dayNumber: number;
}

/** Dates as people of a time zone have them. */
class Calendar {
  readonly #format: Intl.DateTimeFormat;

  constructor(timezone: string) {
    const fields = { year: 'numeric', month: 'numeric', day: 'numeric' } as const;
    this.#format = new Intl.DateTimeFormat('en-u-ca-gregory', { timeZone: timezone, era: 'short', ...fields });
  }

  dateOf(at: number): CivilDate {
    const parts = new Map(this.#format.formatToParts(at).map(({ type, value }) => [type, value]));
    const number = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type));
    const [year, month, day] = [number('year'), number('month'), number('day')];
    return { year, month, dayNumber: Date.UTC(year, month - 1, day) / dayMs };
  }
}
