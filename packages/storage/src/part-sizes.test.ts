import { expect, test } from 'vitest';
import { largestPartBytes, mostParts, partBytesAt, usualPartBytes } from './part-sizes.ts';

const gibibyte = 1024 ** 3;
const sizes = Array.from({ length: mostParts }, (_, at) => partBytesAt(at + 1));

/** Bytes of the part that an object of `totalBytes` ends with. */
function lastPartBytes(totalBytes: number): number {
  let sum = 0;
  return sizes.find((size) => (sum += size) >= totalBytes) ?? Number.POSITIVE_INFINITY;
}

test('10,000 parts hold 5 TiB, and none is larger than S3 takes', () => {
  expect(sizes.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(5 * 1024 * gibibyte);
  expect(Math.max(...sizes)).toBeLessThan(largestPartBytes);
});

test('parts never shrink', () => {
  expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
});

test('growth begins as late as the comment says, and costs the memory it says', () => {
  expect(lastPartBytes(23 * gibibyte)).toBe(usualPartBytes);
  expect(lastPartBytes(47 * gibibyte)).toBeLessThanOrEqual(33 * 1024 ** 2);
  expect(lastPartBytes(100 * gibibyte)).toBeLessThan(81 * 1024 ** 2);
  expect(lastPartBytes(250 * gibibyte)).toBeLessThan(0.22 * gibibyte);
  expect(lastPartBytes(1024 * gibibyte)).toBeLessThan(0.95 * gibibyte);
});

test('a first size of S3’s least keeps to whole mebibytes', () => {
  expect(partBytesAt(1, 5 * 1024 ** 2)).toBe(5 * 1024 ** 2);
  expect(partBytesAt(9_999, 5 * 1024 ** 2) % 1024 ** 2).toBe(0);
});

test.each([1, 5, 5.5, 6, 7, 8, 16, 64])(
  'first parts of %d MiB reach 5 TiB too, with parts that S3 takes',
  (mebibytes) => {
    const smaller = Array.from({ length: mostParts }, (_, at) => partBytesAt(at + 1, mebibytes * 1024 ** 2));
    expect(smaller.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(5 * 1024 * gibibyte);
    expect(Math.max(...smaller)).toBeLessThanOrEqual(largestPartBytes);
    expect(smaller[0]).toBe(Math.max(5, mebibytes) * 1024 ** 2);
    expect(smaller).toEqual(smaller.toSorted((a, b) => a - b));
  },
);
