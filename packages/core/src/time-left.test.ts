import { expect, test } from 'vitest';
import { TimeLeft } from './time-left.ts';

test('is told by how fast a phase has gone since it was seen first, once that can be told', () => {
  const left = new TimeLeft();
  expect(left.at('dumping', 0, 0)).toBeUndefined();
  // Too soon, then too little.
  expect(left.at('dumping', 0.1, 1000)).toBeUndefined();
  expect(left.at('dumping', 0.01, 4000)).toBeUndefined();
  expect(left.at('dumping', 0.25, 10_000)).toBe(30_000);
  expect(left.at('dumping', undefined, 11_000)).toBeUndefined();
  expect(left.at('dumping', 0.99, 40_000)).toBeUndefined();
  // Another phase is another matter, also where it was half done when it was seen first.
  expect(left.at('restoring', 0.5, 41_000)).toBeUndefined();
  expect(left.at('restoring', 0.6, 51_000)).toBeCloseTo(40_000);
});
