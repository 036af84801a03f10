import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits until `condition` gives something other than undefined or false, and returns that. What it throws ends the wait.
 * @throws Error naming `what` once `timeoutMs` (20 s) are over
 */
export async function waitFor<Value>(
  what: string,
  condition: () => Value | Promise<Value>,
  options: { timeoutMs?: number; everyMs?: number } = {},
): Promise<Exclude<Value, undefined | false>> {
  const { timeoutMs = 20_000, everyMs = 10 } = options;
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value as Exclude<Value, undefined | false>;
    if (performance.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await delay(everyMs);
  }
}
