import { readFileSync } from 'node:fs';

/**
 * Loaded before a program: its clock is this machine's and so many milliseconds more as a file says, by whose change a test
 * has hours pass in a moment. Timers go by the real time.
 */

const file = process.env['STRIDEIQ_TEST_CLOCK'];
const realNow = Date.now;
if (file !== undefined) Date.now = () => realNow() + Number(readFileSync(file, 'utf8'));
