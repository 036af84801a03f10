import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cronProblem, isTimeZone } from './cron-line.ts';

describe('cronProblem', () => {
  it.each(['0 3 * * *', '*/15 * * * *', '0 9-17/2 1,15 jan-mar MON', '59 23 31 12 7', ' 0  3 * * * '])(
    'takes %j',
    (line) => expect(cronProblem(line)).toBeUndefined(),
  );

  it.each([
    ['@daily', 'five fields'],
    ['0 0 3 * * *', 'it has 6'],
    ['60 * * * *', 'minute "60"'],
    ['* 24 * * *', 'hour "24"'],
    ['* * 0 * *', 'day of month "0"'],
    ['* * * 13 *', 'month "13"'],
    ['* * * * 8', 'day of week "8"'],
    ['5-1 * * * *', 'minute "5-1"'],
    ['*/0 * * * *', 'minute "*/0"'],
    ['5/10 * * * *', 'minute "5/10"'],
    ['1,,2 * * * *', 'minute "1,,2"'],
    ['* * * mon *', 'month "mon"'],
    ['-1 * * * *', 'minute "-1"'],
  ])('refuses %j: %s', (line, said) => expect(cronProblem(line)).toContain(said));

  it('takes every range that is one, and no other', () => {
    fc.assert(
      fc.property(fc.nat(80), fc.nat(80), (from, to) => {
        expect(cronProblem(`${from}-${to} * * * *`) === undefined).toBe(from <= to && to <= 59);
      }),
    );
  });
});

describe('isTimeZone', () => {
  it.each(['UTC', 'Europe/Berlin', 'US/Eastern', 'America/Argentina/Buenos_Aires'])('knows %s', (zone) =>
    expect(isTimeZone(zone)).toBe(true),
  );
  it.each(['', '+02:00', 'Mars/Olympus', 'CEST2'])('does not know %j', (zone) => expect(isTimeZone(zone)).toBe(false));
});
