import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { firstPartBytes, largestPartBytes, mostParts, partBytesAt, usualPartBytes } from './part-sizes.ts';

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;
const largestObjectBytes = 5 * 1024 * gibibyte;

function sizesFrom(firstBytes?: number): number[] {
  return Array.from({ length: mostParts }, (_, at) => partBytesAt(at + 1, firstBytes));
}

/** Bytes of the part that an object of `totalBytes` ends with: its largest. */
function lastPartBytes(totalBytes: number, firstBytes?: number): number {
  let sum = 0;
  return sizesFrom(firstBytes).find((size) => (sum += size) >= totalBytes) ?? Number.POSITIVE_INFINITY;
}

test('where nobody knows the size, growth begins as late as the comment says, and costs the memory it says', () => {
  expect(lastPartBytes(23 * gibibyte)).toBe(usualPartBytes);
  expect(lastPartBytes(47 * gibibyte)).toBeLessThanOrEqual(33 * mebibyte);
  expect(lastPartBytes(70 * gibibyte)).toBeLessThan(52 * mebibyte);
  expect(lastPartBytes(100 * gibibyte)).toBeLessThan(81 * mebibyte);
  expect(lastPartBytes(250 * gibibyte)).toBeLessThan(0.22 * gibibyte);
  expect(lastPartBytes(1024 * gibibyte)).toBeLessThan(0.95 * gibibyte);
});

test.each([5, 5.5, 6, 7, 8, 16, 64, 80, 671])(
  'first parts of %d MiB reach 5 TiB, in parts that never shrink and that S3 takes',
  (mebibytes) => {
    const sizes = sizesFrom(mebibytes * mebibyte);
    expect(sizes.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(largestObjectBytes);
    expect(Math.max(...sizes)).toBeLessThan(largestPartBytes);
    expect(sizes[0]).toBe(mebibytes * mebibyte);
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
    // All that are not as they were asked for are whole.
    expect(sizes.filter((size) => size !== sizes[0] && size % mebibyte !== 0)).toEqual([]);
  },
);

test('S3’s least is the least', () => {
  expect(partBytesAt(1, mebibyte)).toBe(5 * mebibyte);
  expect(firstPartBytes(0, mebibyte)).toBe(5 * mebibyte);
});

describe('with a size that is about known', () => {
  const sizes = fc.double({ min: 0, max: largestObjectBytes, noNaN: true });

  test.each([
    { objectGib: 18, partMib: 8 },
    { objectGib: 46, partMib: 16 },
    { objectGib: 112, partMib: 32 },
    { objectGib: 200, partMib: 52 },
    { objectGib: 344, partMib: 80 },
    { objectGib: 1024, partMib: 202 },
    { objectGib: 5 * 1024, partMib: 671 },
  ])('$objectGib GiB take parts of $partMib MiB', ({ objectGib, partMib }) => {
    expect(firstPartBytes(objectGib * gibibyte)).toBe(partMib * mebibyte);
  });

  test('an object of that size and a quarter more has parts of one size, and no smaller ones would do', () => {
    fc.assert(
      fc.property(sizes, (expectedBytes) => {
        const foreseen = Math.min(largestObjectBytes, expectedBytes * 1.25);
        const first = firstPartBytes(expectedBytes);
        expect(lastPartBytes(foreseen, first)).toBe(first);
        const smaller = first - mebibyte;
        expect(first === usualPartBytes || lastPartBytes(foreseen, smaller) > smaller).toBe(true);
      }),
    );
  });

  test('an object that outgrows it reaches 5 TiB all the same, and never in larger parts than without an estimate', () => {
    fc.assert(
      fc.property(sizes, sizes, (expectedBytes, bytes) => {
        const first = firstPartBytes(expectedBytes);
        expect(lastPartBytes(bytes, first)).toBeLessThanOrEqual(Math.max(first, lastPartBytes(bytes)));
        expect(lastPartBytes(largestObjectBytes, first)).toBeLessThan(largestPartBytes);
      }),
    );
  });

  test('an estimate that is none changes nothing', () => {
    for (const none of [undefined, 0, -1, Number.NaN]) expect(firstPartBytes(none)).toBe(usualPartBytes);
  });
});
