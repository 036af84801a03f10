import { expect, test } from 'vitest';
import { keptName } from './kept-names.ts';

const at = Date.parse('2026-11-30T04:15:09.500Z');

test.each([
  ['app', 'before', 'app_before_20261130_041509'],
  ['app', 'undone', 'app_undone_20261130_041509'],
  ['x'.repeat(63), 'before', `${'x'.repeat(40)}_before_20261130_041509`],
  // Cut between signs, never within one.
  ['ü'.repeat(31), 'before', `${'ü'.repeat(20)}_before_20261130_041509`],
] as const)('%s, %s', (database, what, name) => {
  expect(keptName(database, what, at)).toBe(name);
  expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
});
