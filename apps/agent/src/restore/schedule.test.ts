import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { propertyRuns } from '@strideiq/testkit';
import { Schedule, type Lock, type Task } from './schedule.ts';

type Named = Task<string>;

/** Two statements that PostgreSQL would not let run at the same time. */
function conflict(one: Lock, other: Lock): boolean {
  if (one.family !== other.family || (one.mode === 'share' && other.mode === 'share')) return false;
  return one.relation === undefined || other.relation === undefined || one.relation === other.relation;
}

const lock = fc.record(
  {
    family: fc.constantFrom('a', 'b', 'c'),
    relation: fc.constantFrom('1', '2'),
    mode: fc.constantFrom('share' as const, 'exclusive' as const),
  },
  { requiredKeys: ['family', 'mode'] },
);

/** Tasks that need some of those before them. */
const tasks = fc
  .array(
    fc.record({
      weight: fc.nat(100),
      needs: fc.array(fc.nat(1000), { maxLength: 3 }),
      locks: fc.array(lock, { maxLength: 3 }),
      kind: fc.constantFrom('free', 'free', 'free', 'afterAll', 'alone'),
    }),
    { maxLength: 25 },
  )
  .map((drawn) => {
    const made: Named[] = [];
    for (const [at, { weight, needs, locks, kind }] of drawn.entries()) {
      const after = kind === 'free' && at > 0 ? [...new Set(needs.map((need) => made[need % at] as Named))] : [];
      made.push({
        work: String(at),
        weight,
        after,
        locks,
        ...(kind === 'free' ? {} : { afterAll: true }),
        ...(kind === 'alone' ? { alone: true } : {}),
      });
    }
    return made;
  });

/** What is wrong with beginning a task now. */
function wrongWith(task: Named, all: readonly Named[], running: readonly Named[], done: ReadonlySet<Named>): string[] {
  const before = task.afterAll ? all.slice(0, all.indexOf(task)) : (task.after ?? []);
  const held = running.flatMap(({ locks = [] }) => locks);
  return [
    ...(done.has(task) || running.includes(task) ? [`${task.work} ran already`] : []),
    ...before.filter((one) => !done.has(one)).map(({ work }) => `${task.work} needs ${work}`),
    ...(running.some((one) => one.alone || task.alone) ? [`${task.work} is not alone`] : []),
    ...(held.some((one) => (task.locks ?? []).some((other) => conflict(one, other))) ? [`${task.work} waits`] : []),
  ];
}

/** Runs all of it on some workers, whose tasks end in the order that is drawn; what went wrong. */
function simulate(all: readonly Named[], workers: number, draws: readonly number[]): string[] {
  const schedule = new Schedule(all);
  const running: Named[] = [];
  const done = new Set<Named>();
  const wrong: string[] = [];
  for (let step = 0; !schedule.ended; step++) {
    const task = running.length < workers ? schedule.next() : undefined;
    if (task) {
      wrong.push(...wrongWith(task, all, running, done));
      running.push(task);
      continue;
    }
    const [ended] = running.splice((draws[step % draws.length] ?? 0) % running.length, 1);
    // Somebody always goes on: nothing that is left waits for itself.
    if (!ended) return [...wrong, 'nothing runs, and something is left'];
    schedule.done(ended);
    done.add(ended);
  }
  return done.size === all.length ? wrong : [...wrong, 'something did not run'];
}

describe('a schedule', () => {
  it('runs everything once, never two that conflict, and nothing before what it needs', () => {
    fc.assert(
      fc.property(
        tasks,
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.nat(), { minLength: 1 }),
        (all, workers, draws) => {
          expect(simulate(all, workers, draws)).toEqual([]);
        },
      ),
      { numRuns: propertyRuns(500) },
    );
  });

  it('begins with the longest way to the end, and leaves what must run alone to the last', () => {
    const table: Named = { work: 'table', weight: 5 };
    const large: Named = { work: 'large table', weight: 20 };
    const alone: Named = { work: 'alone', weight: 0, afterAll: true, alone: true };
    const index: Named = { work: 'slow index', weight: 30, after: [table] };
    const schedule = new Schedule([table, large, alone, index]);
    expect([schedule.next(), schedule.next(), schedule.next()]).toEqual([table, large, undefined]);
    schedule.done(table);
    schedule.done(large);
    expect([schedule.next(), schedule.next()]).toEqual([index, undefined]);
    schedule.done(index);
    expect([schedule.next(), schedule.next(), schedule.ended]).toEqual([alone, undefined, false]);
    schedule.done(alone);
    expect(schedule.ended).toBe(true);
  });

  it('that holds nothing has ended', () => {
    expect(new Schedule([]).ended).toBe(true);
  });
});
