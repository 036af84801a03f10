import { expect, test } from 'vitest';
import { withSections } from './report.ts';
import { markdownTable } from './tables.ts';

test('a run replaces what it has measured, and nothing else', () => {
  const first = withSections('', new Map([['dump', '1.0 s'] as const, ['s3', '2.0 s'] as const]));
  const second = withSections(first, new Map([['s3', '3.0 s'] as const]));
  expect(first).toMatch(/Making a dump\n\n<!-- dump -->\n1\.0 s\n[^]*Not measured yet\.[^]*2\.0 s/);
  expect(second).toBe(first.replace('2.0 s', '3.0 s'));
  expect(withSections(second, new Map())).toBe(second);
});

test('a bar inside a cell does not divide it', () => {
  expect(markdownTable(['', 's'], [['a | b', '1']])).toBe('|  | s |\n| --- | ---: |\n| a \\| b | 1 |');
});
