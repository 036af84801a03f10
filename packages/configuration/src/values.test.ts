import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { durationMs, sizeBytes } from './values.ts';

describe('durationMs', () => {
  it.each([
    ['250ms', 250],
    ['90s', 90_000],
    ['5m', 300_000],
    ['1.5h', 5_400_000],
    ['7d', 604_800_000],
  ])('reads %s', (text, expected) => expect(durationMs(text)).toBe(expected));

  it.each(['', '5', 's', '-5s', '5 s', '5S', '5m30s', '1e3s', '5w'])('refuses %j', (text) =>
    expect(durationMs(text)).toBeUndefined(),
  );

  it('reads every whole number of every unit', () => {
    const units = fc.constantFrom(['ms', 1], ['s', 1000], ['m', 60_000], ['h', 3_600_000], ['d', 86_400_000] as const);
    fc.assert(
      fc.property(fc.nat(1_000_000), units, (count, [unit, factor]) => {
        expect(durationMs(`${count}${unit}`)).toBe(count * factor);
      }),
    );
  });
});

describe('sizeBytes', () => {
  it.each([
    ['0B', 0],
    ['500kB', 500_000],
    ['32MB', 32_000_000],
    ['1.5GiB', 1_610_612_736],
    ['64KiB', 65_536],
  ])('reads %s', (text, expected) => expect(sizeBytes(text)).toBe(expected));

  it.each(['', '5', 'MB', '-5MB', '5 MB', '5mb', '5M', '1e3B'])('refuses %j', (text) =>
    expect(sizeBytes(text)).toBeUndefined(),
  );
});
