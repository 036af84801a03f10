import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Backoff } from './backoff.ts';

test('each try is at any moment below a bound that doubles up to 20 s, and begins anew after a connection that held', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 }), (draws) => {
      const drawn = [...draws];
      const backoff = new Backoff(() => drawn.shift() ?? 1);
      for (const [at, draw] of draws.entries()) {
        expect(backoff.next()).toBeCloseTo(draw * Math.min(20_000, 1000 * 2 ** at), 3);
      }
      backoff.reset();
      expect(backoff.next()).toBe(1000);
    }),
  );
});

test('what is refused for good is tried again after minutes', () => {
  expect([0, 1].map((draw) => new Backoff(() => draw).slow())).toEqual([150_000, 300_000]);
});
