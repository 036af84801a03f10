import { availableParallelism } from 'node:os';

const [fewest, most] = [2, 8];

/** Sessions of a restore where nobody has said how many: one per processor, 2 to 8. */
export function jobsByThemselves(): number {
  return Math.min(most, Math.max(fewest, availableParallelism()));
}
