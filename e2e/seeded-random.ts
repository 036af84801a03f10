import { randomInt } from 'node:crypto';

/** Whether all that can be tried is tried, and not only a sample (`npm run test:long`). */
export const long = process.env['STRIDEIQ_TEST_LONG'] === '1';

/** Repeats a run by STRIDEIQ_TEST_SEED; drawn anew where that is not set. */
export const seed = Number(process.env['STRIDEIQ_TEST_SEED'] || randomInt(2 ** 31));

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
