import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 look through its old heap only once that has doubled, buffers counted. Left to itself, and told to be sparing as
 * this program is, it does so for every few megabytes of rows that pass: nearly half of the processor time of a restore,
 * which the server needs. Costs some 10 MB.
 */
export function letHeapGrow(): void {
  setFlagsFromString('--heap-growing-percent=100');
}
