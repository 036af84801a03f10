import { expect, test } from 'vitest';
import { dueOf, type KeptDatabase } from './kept-databases.ts';

const day = 86_400_000;
const now = 100 * day;

/** Newest first, `ages` days old. */
const keptOf = (...ages: [days: number, what: KeptDatabase['what']][]): KeptDatabase[] =>
  ages.map(([days, what], at) => ({
    name: `${what} ${days}`,
    oid: at,
    was: 'app',
    since: now - days * day,
    runId: 'r',
    what,
    bytes: null,
  }));
const due = (kept: KeptDatabase[]) => dueOf(kept, { days: 7, count: 2 }, now).map(({ name }) => name);

test('the newest few are kept, and none for longer than some days', () => {
  expect(due(keptOf([1, 'replaced'], [2, 'replaced'], [3, 'replaced']))).toEqual(['replaced 3']);
  expect(due(keptOf([1, 'replaced'], [8, 'replaced']))).toEqual(['replaced 8']);
  expect(due(keptOf([7, 'replaced']))).toEqual([]);
});

test('what was restored and taken back takes no place from what it was to replace', () => {
  const kept = keptOf([1, 'undone'], [2, 'undone'], [3, 'undone'], [4, 'replaced'], [5, 'replaced']);
  expect(due(kept)).toEqual(['undone 3']);
});
