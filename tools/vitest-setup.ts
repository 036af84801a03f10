import fc from 'fast-check';

/**
 * Property tests draw from the seed that `npm test` prints, so that a failure can be had again. The long form looks at
 * ten times as many cases, also where a test says how many: see `runs`.
 */
const seed = Number(process.env['STRIDEIQ_TEST_SEED']);
const long = process.env['STRIDEIQ_TEST_LONG'] === '1';
fc.configureGlobal({ ...(Number.isInteger(seed) && seed > 0 ? { seed } : {}), numRuns: long ? 1000 : 100 });
