const dayMs = 86_400_000;

/** Something that can be restored. Moments are milliseconds since 1970. */
export interface RestorePoint {
  /** Moment that its data are of. */
  dataAt: number;
  /** From when on it could have been restored. */
  availableAt: number;
}

/** How old the newest data that could be restored were, over a time. */
export interface DataAges {
  /** At the end; null where there was nothing to restore. */
  nowMs: number | null;
  /** The oldest that they were at any moment; null where there was nothing. */
  worstMs: number | null;
  /** Share of the time, from the first point on, at which they were no older than the objective; null without one. */
  metShare: number | null;
  /** The oldest of each day (UTC), from the first point on. */
  days: { day: string; worstMs: number }[];
}

/**
 * Data age by one second each second, and are as old as a backup took once it is there: what matters is how old they were
 * just before the next one came.
 * @param points in any order; the last before `from` counts too
 */
export function dataAges(
  points: readonly RestorePoint[],
  { from, to, rpoMs }: { from: number; to: number; rpoMs: number | null },
): DataAges {
  const stretches = stretchesOf(points, from, to);
  const last = stretches.at(-1);
  if (!last) return { nowMs: null, worstMs: null, metShare: null, days: [] };
  const worstMs = Math.max(...stretches.map(({ until, dataAt }) => until - dataAt));
  return { nowMs: to - last.dataAt, worstMs, metShare: metShareOf(stretches, rpoMs), days: daysOf(stretches) };
}

/** A time in which the newest data were the same. */
interface Stretch {
  since: number;
  until: number;
  dataAt: number;
}

function stretchesOf(points: readonly RestorePoint[], from: number, to: number): Stretch[] {
  const sorted = points.filter(({ availableAt }) => availableAt < to).toSorted((a, b) => a.availableAt - b.availableAt);
  const stretches: Stretch[] = [];
  let newest = Number.NEGATIVE_INFINITY;
  for (const [at, { dataAt, availableAt }] of sorted.entries()) {
    newest = Math.max(newest, dataAt);
    const since = Math.max(availableAt, from);
    const until = Math.min(sorted[at + 1]?.availableAt ?? to, to);
    if (until > since) stretches.push({ since, until, dataAt: newest });
  }
  return stretches;
}

function metShareOf(stretches: readonly Stretch[], rpoMs: number | null): number | null {
  if (rpoMs === null) return null;
  let [met, all] = [0, 0];
  for (const { since, until, dataAt } of stretches) {
    met += Math.min(Math.max(dataAt + rpoMs - since, 0), until - since);
    all += until - since;
  }
  return met / all;
}

function daysOf(stretches: readonly Stretch[]): DataAges['days'] {
  const worst = new Map<number, number>();
  for (const { since, until, dataAt } of stretches) {
    for (let day = Math.floor(since / dayMs) * dayMs; day < until; day += dayMs) {
      const age = Math.min(until, day + dayMs) - dataAt;
      worst.set(day, Math.max(worst.get(day) ?? 0, age));
    }
  }
  return [...worst].map(([day, worstMs]) => ({ day: new Date(day).toISOString().slice(0, 10), worstMs }));
}
