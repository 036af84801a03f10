import { expect, test } from 'vitest';
import { durationText } from './duration-text.ts';

test.each([
  [100, '0.1 s'],
  [59_940, '59.9 s'],
  [61_000, '1 min 01 s'],
  [3_599_000, '59 min 59 s'],
  [7_860_000, '2 h 11 min'],
  [47.5 * 3_600_000, '47 h 30 min'],
  [75 * 3_600_000, '3 days 3 h'],
])('%d ms are %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});
