import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Backoff } from './backoff.ts';

test('the first try is at once; each later one at any moment below a bound that doubles up to 20 s', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 }), (draws) => {
      const drawn = [...draws];
      const backoff = new Backoff(() => drawn.shift() ?? 1);
      expect(backoff.next()).toBe(0);
      for (const [at, draw] of draws.entries()) {
        expect(backoff.next()).toBeCloseTo(draw * Math.min(20_000, 1000 * 2 ** at), 3);
      }
      backoff.reset();
      expect(backoff.next()).toBe(0);
    }),
  );
});

test('what is refused for good is tried again after minutes', () => {
  expect([0, 1].map((draw) => new Backoff(() => draw).slow())).toEqual([150_000, 300_000]);
});
