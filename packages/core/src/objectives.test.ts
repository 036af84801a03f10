import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dataAges } from './objectives.ts';

const hour = 3_600_000;
const day = 24 * hour;
const start = Date.parse('2026-01-10T00:00:00Z');
/** Made at three each night, of the data of three, and there at four. */
const nightly = (days: number) => {
  const at = start + days * day + 3 * hour;
  return { dataAt: at, availableAt: at + hour };
};

test('data are as old as the next backup leaves them', () => {
  const points = [nightly(-1), nightly(0), nightly(1)];
  const ages = dataAges(points, { from: start, to: start + 2 * day, rpoMs: day });
  expect(ages).toEqual({
    nowMs: 21 * hour,
    worstMs: 25 * hour,
    // An hour too old each night.
    metShare: 46 / 48,
    days: [
      { day: '2026-01-10', worstMs: 25 * hour },
      { day: '2026-01-11', worstMs: 25 * hour },
    ],
  });
});

test('a night without a backup shows', () => {
  const ages = dataAges([nightly(-1), nightly(1)], { from: start, to: start + 2 * day, rpoMs: day });
  expect(ages.worstMs).toBe(49 * hour);
  expect(ages.days.map(({ worstMs }) => worstMs / hour)).toEqual([45, 49]);
});

test('there is nothing to tell of nothing, and no share without an objective', () => {
  expect(dataAges([], { from: start, to: start + day, rpoMs: day })).toEqual({
    nowMs: null,
    worstMs: null,
    metShare: null,
    days: [],
  });
  expect(dataAges([nightly(0)], { from: start, to: start + day, rpoMs: null }).metShare).toBeNull();
});

test('what comes late with older data makes nothing worse', () => {
  const late = { dataAt: start - day, availableAt: start + 10 * hour };
  const ages = dataAges([nightly(0), late], { from: start, to: start + day, rpoMs: day });
  expect(ages.nowMs).toBe(21 * hour);
});

test('as sampled minute by minute', () => {
  const pointArbitrary = fc.record({ dataAt: fc.nat(200), took: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(pointArbitrary, { minLength: 1, maxLength: 12 }), fc.nat(60), (made, rpo) => {
      const points = made.map(({ dataAt, took }) => ({ dataAt, availableAt: dataAt + took }));
      const [from, to] = [50, 250];
      const sampled: number[] = [];
      for (let at = from; at < to; at++) {
        const there = points.filter(({ availableAt }) => availableAt <= at);
        if (there.length > 0) sampled.push(at - Math.max(...there.map(({ dataAt }) => dataAt)));
      }
      const ages = dataAges(points, { from, to, rpoMs: rpo });
      expect(ages.worstMs).toBe(sampled.length === 0 ? null : Math.max(...sampled) + 1);
      const met = sampled.filter((age) => age < rpo).length / sampled.length;
      expect(ages.metShare ?? 0).toBeCloseTo(sampled.length > 0 ? met : 0, 9);
    }),
  );
});
