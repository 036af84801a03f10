import { expect, test } from 'vitest';
import { table } from './table.ts';
import { displayWidth } from './text.ts';

test('columns are as wide as their widest cell, and numbers stand to the right', () => {
  expect(
    table(
      ['NAME', 'ROWS'],
      [
        ['app', '7'],
        ['warehouse', '1,200'],
      ],
      [1],
    ),
  ).toBe('NAME        ROWS\napp            7\nwarehouse  1,200');
});

test.each([
  ['數據庫', 6],
  ['データ', 6],
  ['ﾃﾞｰﾀ', 4],
  ['데이터', 6],
  ['Größe', 5],
  ['e\u0301', 1],
  ['👩‍👩‍👧', 2],
  ['❤️', 2],
  ['ＡＢ', 4],
  ['', 0],
])('%s is %i columns wide', (text, columns) => {
  expect(displayWidth(text)).toBe(columns);
});

test('wide letters keep the columns behind them in line', () => {
  const lines = table(
    ['NAME', 'STATE'],
    [
      ['數據庫', 'ok'],
      ['a', 'ok'],
      ['👍🏽', 'ok'],
    ],
  ).split('\n');
  expect(lines.map((line) => displayWidth(line.slice(0, line.search(/STATE|ok/))))).toEqual([8, 8, 8, 8]);
});

test('a name can forge no row, and steer no terminal', () => {
  const lines = table(['NAME', 'STATE'], [['good\nevil  lost', '\u001B[2Jok\u202E']]).split('\n');
  expect(lines).toEqual(['NAME              STATE', String.raw`good\nevil  lost  \u001b[2Jok\u202e`]);
});

test('a short row has empty cells, and a long one no more than there are columns', () => {
  expect(table(['A', 'B'], [['1'], ['1', '2', '3']])).toBe('A  B\n1\n1  2');
});
