import { expect, test } from 'vitest';
import { median, ratio, rotated, spread } from './statistics.ts';

test('the median is the middle one, or lies between the middle two', () => {
  expect(median([])).toBeUndefined();
  expect(median([7])).toBe(7);
  expect(median([100, 9, 10])).toBe(10);
  expect(median([4, 100, 1, 2])).toBe(3);
});

test('the spread is a share of the median', () => {
  expect(spread([])).toBeUndefined();
  expect(spread([0, 0])).toBeUndefined();
  expect(spread([8, 10, 13])).toBe(0.5);
});

test('a ratio is taken within each round, and a slow round decides nothing', () => {
  expect(ratio([5, 50, 6], [10, 100, 10])).toBe(0.5);
  expect(ratio([5, undefined, 6], [10, 100, undefined])).toBe(0.5);
  expect(ratio([5], [0])).toBeUndefined();
  expect(ratio([], [1])).toBeUndefined();
});

test('each round begins one further', () => {
  expect([0, 1, 2, 3].map((round) => rotated(['a', 'b', 'c'], round).join(''))).toEqual(['abc', 'bca', 'cab', 'abc']);
  expect(rotated([], 3)).toEqual([]);
});
