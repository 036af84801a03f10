import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LaneTable } from './lane-tables.ts';
import { copyStatement, describeTask, planLaneTasks } from './lane-tasks.ts';

function tableOf(name: string, sizeBytes: number, pages: number, columns = 'a'): LaneTable {
  const header = Buffer.from(`COPY public.${name} (${columns}) FROM stdin;\n`);
  const relation = Buffer.from(`public.${name}`);
  return { name: `public.${name}`, pattern: '', header, relation, columns: Buffer.from(columns), sizeBytes, pages };
}

const megabyte = 1024 * 1024;

describe('planLaneTasks', () => {
  test('has every page of every table in exactly one range, the last one open', () => {
    const table = fc.tuple(fc.integer({ min: 0, max: 1e12 }), fc.integer({ min: 0, max: 1e6 }));
    const plan = (sizes: [number, number][], jobs: number, inRanges: boolean) => {
      const tables = sizes.map(([bytes, pages], at) => tableOf(`t${at}`, bytes, pages));
      const tasks = planLaneTasks(tables, jobs, inRanges);
      expect(tasks.map(({ sizeBytes }) => sizeBytes)).toEqual(
        tasks.map(({ sizeBytes }) => sizeBytes).toSorted((a, b) => b - a),
      );
      for (const each of tables) {
        const ranges = tasks.filter((task) => task.table === each).toSorted((a, b) => a.from - b.from);
        expect(ranges[0]?.from).toBe(0);
        expect(ranges.at(-1)?.to).toBeUndefined();
        const ends = ranges.slice(0, -1).map(({ to }) => to);
        expect(ends).toEqual(ranges.slice(1).map(({ from }) => from));
        expect(ranges.slice(0, -1).every(({ from, to = 0 }) => from < to)).toBe(true);
      }
    };
    fc.assert(fc.property(fc.array(table, { maxLength: 8 }), fc.integer({ min: 1, max: 64 }), fc.boolean(), plan));
  });

  test('divides so that no task is much more than its share, and none too small to be worth it', () => {
    const tables = [tableOf('large', 800 * megabyte, 100_000), tableOf('medium', 200 * megabyte, 25_000)];
    const tasks = planLaneTasks(tables, 2, true);
    expect(Math.max(...tasks.map(({ sizeBytes }) => sizeBytes))).toBeLessThanOrEqual((1000 / 16) * megabyte);
    expect(planLaneTasks([tableOf('small', 40 * megabyte, 5000)], 8, true)).toHaveLength(3);
  });

  test('takes tables whole where the server knows no ranges of ctid', () => {
    expect(planLaneTasks([tableOf('t', 800 * megabyte, 100_000)], 2, false)).toHaveLength(1);
  });
});

test('statements name the range, or the table alone where it is read whole', () => {
  const table = tableOf('t', 1, 1, 'a, "b c"');
  const text = (from: number, to?: number, of = table) =>
    copyStatement({ table: of, from, to, sizeBytes: 0 }).toString();
  expect(text(0)).toBe('COPY public.t (a, "b c") TO STDOUT');
  expect(text(0, undefined, tableOf('none', 1, 1, ''))).toBe('COPY public.none TO STDOUT');
  expect(text(0, 5)).toBe(
    `COPY (SELECT a, "b c" FROM ONLY public.t WHERE ctid >= '(0,0)'::pg_catalog.tid AND ctid < '(5,0)'::pg_catalog.tid) TO STDOUT`,
  );
  expect(text(5)).toBe(`COPY (SELECT a, "b c" FROM ONLY public.t WHERE ctid >= '(5,0)'::pg_catalog.tid) TO STDOUT`);
  expect(describeTask({ table, from: 0, to: undefined, sizeBytes: 0 })).toBe('the rows of public.t');
  expect(describeTask({ table, from: 5, to: 9, sizeBytes: 0 })).toBe('the rows of public.t from page 5 to 9');
});
