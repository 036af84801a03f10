import pRetry from 'p-retry';
import { StorageError } from './errors.ts';
import { pause } from './take.ts';

/** How passing errors are retried: each wait is random between nothing and a bound that doubles ("full jitter"). */
export interface RetryPolicy {
  /** Tries after the first. */
  retries: number;
  /** Bound of the first wait. */
  firstDelayMs: number;
  /** Where the bound stops doubling. */
  longestDelayMs: number;
  /**
   * No further try begins once this long has passed since the call began, or since it last got on. A first try that was
   * silent for about as long as that has still a second, on a new connection. Left out: the number of tries alone
   * decides, which for a server that answers nothing is that many times the request's own time limit.
   */
  withinMs?: number;
  /**
   * How long one try can be silent at most. One that took longer, as a part does on a slow line, was busy for the rest,
   * which does not count towards {@link withinMs}. Left out: all of a try counts.
   */
  silenceMs?: number;
}

/** About two minutes of patience in all: longer than a gateway's restart, shorter than an operator's. */
export const usualRetries: RetryPolicy = { retries: 10, firstDelayMs: 250, longestDelayMs: 30_000 };

/**
 * Does `attempt` until it succeeds, fails for good, or the policy is used up.
 * @param attempt is told how many tries failed before it
 * @throws the last attempt's error; the signal's reason once that aborts
 */
export async function retrying<T>(
  attempt: (failures: number) => Promise<T>,
  policy: RetryPolicy,
  signal?: AbortSignal,
): Promise<T> {
  const patience = new Patience(policy, signal);
  return await pRetry(async (attemptNumber) => await attempt(attemptNumber - 1), {
    retries: policy.retries,
    // p-retry's own jitter waits at least the full delay, so a fleet that failed together comes back together.
    minTimeout: 0,
    ...(signal ? { signal } : {}),
    shouldRetry: async ({ error }) => await patience.waitAfter(error),
  });
}

/** What is left of a policy for one call. Begins with the call. */
export class Patience {
  readonly #policy: RetryPolicy;
  readonly #signal: AbortSignal | undefined;
  #triedAtMs = performance.now();
  #spentMs = 0;
  #failures = 0;

  constructor(policy: RetryPolicy, signal: AbortSignal | undefined) {
    this.#policy = policy;
    this.#signal = signal;
  }

  /** The call got on: what failed before counts no more. */
  gotOn(): void {
    this.#triedAtMs = performance.now();
    this.#spentMs = 0;
    this.#failures = 0;
  }

  /**
   * Waits where another try is due.
   * @returns false, at once, where there is to be none
   * @throws the signal's reason once that aborts
   */
  async waitAfter(error: unknown): Promise<boolean> {
    const { retries, firstDelayMs, longestDelayMs } = this.#policy;
    const { withinMs = Number.POSITIVE_INFINITY, silenceMs = Number.POSITIVE_INFINITY } = this.#policy;
    const failures = this.#failures++;
    if (!isTransient(error) || failures >= retries) return false;
    this.#spentMs += Math.min(performance.now() - this.#triedAtMs, silenceMs);
    const leftMs = withinMs - this.#spentMs;
    // A connection that died unnoticed looks like a silent server: one more try, on another one, tells.
    if (leftMs <= (failures === 0 ? -withinMs / 2 : 0)) return false;
    const boundMs = Math.min(longestDelayMs, firstDelayMs * 2 ** failures);
    const waitMs = Math.min(Math.random() * boundMs, leftMs);
    await pause(waitMs, this.#signal);
    this.#spentMs += Math.max(0, waitMs);
    this.#triedAtMs = performance.now();
    return true;
  }
}

export function isTransient(error: unknown): error is StorageError {
  return error instanceof StorageError && error.transient;
}
