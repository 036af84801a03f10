import { newId } from '@strideiq/core';
import { progressSchema } from '@strideiq/protocol';
import { expect, test } from 'vitest';
import { ProgressBoard } from './progress-board.ts';

test('shows what got on since it was looked at, as the protocol takes it, and nothing of what has ended', () => {
  const board = new ProgressBoard();
  const [first, second] = [newId(1), newId(2)];
  const report = board.of(first);
  report({ phase: 'dumping', rawBytes: 10, expectedRawBytes: 40, table: 't'.repeat(400) });
  report({ phase: 'dumping', rawBytes: 20, expectedRawBytes: 40, bytes: 3 });
  board.of(second)({ phase: 'preparing' });
  const runs = board.take(100);
  expect(progressSchema.parse({ runs }).runs).toEqual([
    { runId: first, phase: 'dumping', fraction: 0.5, rawBytes: 20, bytes: 3 },
    { runId: second, phase: 'preparing', fraction: null },
  ]);
  expect(board.take(100)).toEqual([]);
  report({ phase: 'storing', table: 't'.repeat(400) });
  expect(board.take(100)[0]?.table?.length).toBe(300);
  for (const table of ['a', 'b', 'a']) report({ phase: 'restoring', table });
  expect(progressSchema.parse({ runs: board.take(100) }).runs).toMatchObject([{ table: 'a', tables: ['a', 'b'] }]);
  report({ phase: 'restoring', table: 'b' });
  expect(board.take(100)).toMatchObject([{ tables: ['b'] }]);
  report({ phase: 'storing' });
  board.end(first);
  expect(board.take(100)).toEqual([]);
});
