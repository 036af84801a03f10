import { expect, test } from 'vitest';
import { momentToCome } from './create.ts';

const now = Date.parse('2026-11-25T12:00:00Z');

test.each([
  ['12h', '2026-11-26T00:00:00.000Z'],
  ['90d', '2027-02-23T12:00:00.000Z'],
  ['2w', '2026-12-09T12:00:00.000Z'],
  ['2027-03-31', '2027-03-31T00:00:00.000Z'],
  ['2027-03-31T18:00:00+02:00', '2027-03-31T16:00:00.000Z'],
])('%s is %s', (said, moment) => expect(momentToCome('--expires', said, now)).toBe(moment));

test.each(['', '90', 'd', '-1d', '0d', '1y', 'tomorrow', '2026-11-25', '2020-01-01', '2027-13-01', '1'])(
  '%j is no moment to come',
  (said) =>
    expect(() => momentToCome('--until', said, now)).toThrow(
      expect.objectContaining({
        code: 'UsageInvalid',
        paragraph: expect.stringContaining('Say --until 90d') as string,
      }),
    ),
);
