import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/**
 * Takes this program's part of the processor down: programs that it starts from now on inherit it. On Linux each thread
 * has a priority of its own, those that compress too.
 * @param nice 0 (as it is) to 19 (whatever others leave)
 * @returns gives it back, where the system lets us: only root may
 */
export function lowerPriority(nice: number): () => void {
  if (nice === 0) return () => {};
  const before = getPriority();
  const set = (priority: number) => {
    for (const thread of threads()) {
      try {
        setPriority(thread, priority);
      } catch {
        // The thread has just ended, or we may not.
      }
    }
  };
  set(Math.max(before, nice));
  return () => set(before);
}

function threads(): number[] {
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return [0];
  }
}
