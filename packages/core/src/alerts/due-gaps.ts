import type { Policy } from '../policy.ts';
import { DueMoments, type Schedule } from '../schedule.ts';

const dayMs = 86_400_000;
/** Two weeks, so that a line for one day of the week is seen twice. */
const lookedAtMs = 15 * dayMs;
/** A schedule that comes more often has no gap worth looking for. */
const mostMoments = 500;
/** Schedules are asked again and again for the same, and working them out is slow. */
const mostRemembered = 10_000;

/** Remembers what a function of a text has answered. */
function remembered<T>(memory: Map<string, T>, key: string, find: () => T): T {
  const known = memory.get(key);
  if (known !== undefined || memory.has(key)) return known as T;
  if (memory.size >= mostRemembered) memory.clear();
  const found = find();
  memory.set(key, found);
  return found;
}

const gaps = new Map<string, number | undefined>();

/**
 * The longest time between two moments that a schedule names, of two weeks from the day of `from`; infinite where it names
 * none, undefined where it names so many that none of them is long.
 * @param stores names of those whose lines count; left out: all
 */
export function longestGapMs(
  { schedule, timezone }: Pick<Policy, 'schedule' | 'timezone'>,
  from: number,
  stores?: readonly string[],
): number | undefined {
  const lines = schedule.filter((line) => !stores || !line.stores || line.stores.some((name) => stores.includes(name)));
  const day = Math.floor(from / dayMs) * dayMs;
  const key = JSON.stringify([timezone, day, lines.map(({ cron }) => cron)]);
  return remembered(gaps, key, () =>
    gapOf(
      lines.map(({ cron }) => ({ line: cron, timezone })),
      day,
    ),
  );
}

function gapOf(lines: readonly Schedule[], from: number): number | undefined {
  const moments: number[] = [];
  for (const line of lines) {
    const due = new DueMoments(line);
    for (let at = due.after(from); at !== undefined && at < from + lookedAtMs; at = due.after(at)) {
      moments.push(at);
      if (moments.length > mostMoments) return undefined;
    }
  }
  if (moments.length < 2) return Number.POSITIVE_INFINITY;
  moments.sort((one, other) => one - other);
  return Math.max(...moments.slice(1).map((at, place) => at - (moments[place] ?? at)));
}

const dues = new Map<string, { due: number; next: number }>();

/** The last moment of a cron line that was due at least `graceMs` ago; undefined where there was none since `since`. */
export function lastDue(
  schedule: Schedule,
  { now, graceMs, since }: { now: number; graceMs: number; since: number },
): number | undefined {
  const at = now - graceMs;
  const key = `${schedule.timezone} ${schedule.line}`;
  const known = dues.get(key);
  if (!known || at < known.due || at >= known.next) {
    const moments = new DueMoments(schedule);
    dues.delete(key);
    remembered(dues, key, () => ({
      due: moments.until(at) ?? Number.NEGATIVE_INFINITY,
      next: moments.after(at) ?? Number.POSITIVE_INFINITY,
    }));
  }
  const due = dues.get(key)?.due ?? Number.NEGATIVE_INFINITY;
  return due === Number.NEGATIVE_INFINITY || due < since ? undefined : due;
}
