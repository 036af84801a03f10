import fc from 'fast-check';
import { expect, test } from 'vitest';
import { automaticJobs } from './jobs.ts';

test.each([
  [1, 0, 1],
  [2, 0, 2],
  [2, 1.9, 2],
  [2, 2, 1],
  [4, 0, 2],
  [8, 0, 4],
  [8, 6, 2],
  [16, 0, 8],
  [64, 3, 8],
])('%i cores under a load of %d: %i jobs', (cores, load, jobs) => {
  expect(automaticJobs({ cores, load })).toBe(jobs);
});

test('at least one, at most eight and never more than cores; no more of them where others work more', () => {
  const cores = fc.integer({ min: 1, max: 256 });
  const load = fc.double({ min: 0, max: 1000, noNaN: true });
  fc.assert(
    fc.property(cores, load, load, (count, one, other) => {
      const [calm, busy] = [Math.min(one, other), Math.max(one, other)];
      const jobs = automaticJobs({ cores: count, load: calm });
      expect(jobs).toBeGreaterThanOrEqual(1);
      expect(jobs).toBeLessThanOrEqual(Math.min(8, count));
      expect(automaticJobs({ cores: count, load: busy })).toBeLessThanOrEqual(jobs);
    }),
  );
});
