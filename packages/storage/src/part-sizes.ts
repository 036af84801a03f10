const mebibyte = 1024 * 1024;

/** Bytes of a part of a multipart upload, while the object is small. */
export const usualPartBytes = 8 * mebibyte;
/** S3 takes no smaller part but the last. */
const leastPartBytes = 5 * mebibyte;
/** S3: parts of an upload, and bytes of one part (Amazon S3 User Guide, "Multipart upload limits"). */
export const mostParts = 10_000;
export const largestPartBytes = 5 * 1024 * mebibyte;
const largestObjectBytes = 5 * 1024 * 1024 * mebibyte;

const constantParts = 3_000;
const partsToDouble = 755;

/** A database that grew by a quarter more than was foreseen still needs no larger parts. */
const margin = 1.25;

/**
 * Size of part `number` (from 1) of an object whose size nobody knows for sure.
 *
 * S3 takes 10,000 parts, so that 5 TiB need 537 MiB on average, while each part is held in memory until the store has
 * confirmed it. So there is a least size for each number, below which the end could not be reached any more: 8 MiB at
 * part 3,000, and double that every 755. Doubling later, part 10,000 would pass the 5 GiB that S3 takes; as it is, that
 * one has 4.8 GiB. A part has `firstBytes`, or that least size where it is more: larger first parts grow later (of 80 MiB
 * from part 5,509 on), smaller ones sooner (of 5 MiB from part 2,489 on), and 5 TiB are in reach of all.
 *
 * What it means in memory: up to 23 GiB parts of 8 MiB suffice, 4 of them. After that the same 32 MiB are split among
 * fewer parts, and from 47 GiB on one part at a time is held: 80 MiB at 100 GiB, 0.2 GiB at 250 GiB, 0.9 GiB at 1 TiB.
 * {@link firstPartBytes} says what it means where the size is about known.
 * @param firstBytes of part 1; S3's least where it is less
 */
export function partBytesAt(number: number, firstBytes = usualPartBytes): number {
  const least = usualPartBytes * 2 ** ((number - constantParts) / partsToDouble);
  const whole = Math.min(largestPartBytes, Math.ceil(least / mebibyte) * mebibyte);
  return Math.max(leastPartBytes, firstBytes, whole);
}

/**
 * The smallest size to begin with, in steps of a MiB, so that an object of about `expectedBytes` and a quarter more has no
 * larger part. Parts of p MiB keep their size for 3,000 + 755 × log2(p ÷ 8) of them: 23 GiB in parts of 8 MiB, 140 GiB in
 * parts of 32 MiB, 430 GiB in parts of 80 MiB.
 *
 * What it means in memory: the same 32 MiB up to 112 GiB, for one part at a time from 47 GiB on; 52 MiB at 200 GiB, 80 MiB
 * at 344 GiB, 0.2 GiB at 1 TiB, 0.66 GiB at 5 TiB. Nothing is lost where the estimate was too low: an object that outgrows
 * it never needs larger parts than without one. Where it was too high, parts have what the foreseen object would need.
 * @param expectedBytes left out: nobody knows
 * @param leastBytes what to begin with however small the object is
 */
export function firstPartBytes(expectedBytes = 0, leastBytes = usualPartBytes): number {
  const wanted = Math.min(largestObjectBytes, expectedBytes * margin);
  let bytes = Math.max(leastPartBytes, leastBytes);
  while (bytes * partsOf(bytes) < wanted) bytes += mebibyte;
  return bytes;
}

/** How many parts keep the size of the first. */
function partsOf(firstBytes: number): number {
  return Math.floor(constantParts + partsToDouble * Math.log2(firstBytes / usualPartBytes));
}
