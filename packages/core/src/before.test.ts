import { expect, test } from 'vitest';
import { momentOfBefore } from './before.ts';

test.each([
  ['before:2026-01-11', '2026-01-11T00:00:00.000Z'],
  ['before:2026-01-11T03:00', '2026-01-11T03:00:00.000Z'],
  ['before:2026-01-11 03:00:59', '2026-01-11T03:00:59.000Z'],
  ['before:2026-01-11T03:00:59.123Z', '2026-01-11T03:00:59.123Z'],
  ['before:2026-01-11T03:00Z', '2026-01-11T03:00:00.000Z'],
  ['before:2026-01-11T03:00:00+05:30', '2026-01-10T21:30:00.000Z'],
  ['before:2024-02-29', '2024-02-29T00:00:00.000Z'],
])('%s', (reference, moment) => {
  expect(momentOfBefore(reference)?.toISOString()).toBe(moment);
});

test.each(['latest', 'app_20260111_030000', '/before:/x', 'Before:2026-01-11'])(
  '%s is of another kind',
  (reference) => {
    expect(momentOfBefore(reference)).toBeUndefined();
  },
);

test.each([
  'before:',
  'before:yesterday',
  'before:2026-01',
  'before:2026-13-01',
  'before:2026-02-30',
  'before:2026-01-11T25:00',
  'before:2026-01-11T03',
  'before:2026-01-11T03:00 UTC',
  'before:2026-01-11T03:00+25:00',
])('%s names no moment', (reference) => {
  expect(() => momentOfBefore(reference)).toThrow(expect.objectContaining({ code: 'ReferenceInvalid' }));
});
