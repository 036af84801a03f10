const mebibyte = 1024 * 1024;

/** Bytes of a part of a multipart upload, while the object is small. */
export const usualPartBytes = 8 * mebibyte;
/** S3 takes no smaller part but the last. */
const leastPartBytes = 5 * mebibyte;
/** S3: parts of an upload, and bytes of one part (Amazon S3 User Guide, "Multipart upload limits"). */
export const mostParts = 10_000;
export const largestPartBytes = 5 * 1024 * mebibyte;

const constantParts = 3_000;
const partsToDouble = 755;

/**
 * Size of part `number` (from 1) of an object whose size nobody knows yet.
 *
 * S3 takes 10,000 parts, so that 5 TiB need 537 MiB on average, while each part is held in memory until the store has
 * confirmed it. So the size stays at 8 MiB for as long as the end can still be reached, 3,000 parts, and then doubles
 * every 755. Starting later, part 10,000 would pass the 5 GiB that S3 takes; as it is, that one has 4.8 GiB.
 *
 * What it means in memory: up to 23 GiB nothing changes, 4 parts of 8 MiB. After that the same 32 MiB are split among
 * fewer parts, and from 47 GiB on one part at a time is held: 80 MiB at 100 GiB, 0.2 GiB at 250 GiB, 0.9 GiB at 1 TiB.
 *
 * Smaller first parts grow sooner, from part 2,489 where they have 5 MiB, and are those of 8 MiB from part 3,000 on: else
 * their 10,000 would end before 5 TiB.
 * @param firstBytes of part 1; S3's least where it is less
 */
export function partBytesAt(number: number, firstBytes = usualPartBytes): number {
  const first = Math.max(leastPartBytes, firstBytes);
  const growing = Math.min(constantParts, constantParts - partsToDouble * Math.log2(usualPartBytes / first));
  if (number <= growing) return first;
  const grown = first * 2 ** ((number - growing) / partsToDouble);
  return Math.min(largestPartBytes, Math.ceil(grown / mebibyte) * mebibyte);
}
