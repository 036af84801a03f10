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
   * No further try begins once this long has passed since the first failure. Left out: the number of tries alone
   * decides, which for a server that answers nothing is that many times the request's own time limit.
   */
  withinMs?: number;
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
  let firstFailedAt: number | undefined;
  return await pRetry(async (attemptNumber) => await attempt(attemptNumber - 1), {
    retries: policy.retries,
    // p-retry's own jitter waits at least the full delay, so a fleet that failed together comes back together.
    minTimeout: 0,
    ...(signal ? { signal } : {}),
    shouldRetry: async ({ error, retriesConsumed }) => {
      if (!isTransient(error)) return false;
      firstFailedAt ??= performance.now();
      if (performance.now() - firstFailedAt >= (policy.withinMs ?? Number.POSITIVE_INFINITY)) return false;
      await waitAfter(retriesConsumed, policy, signal);
      return true;
    },
  });
}

/**
 * The wait after so many failures, from 0.
 * @throws the signal's reason once that aborts
 */
export async function waitAfter(failures: number, policy: RetryPolicy, signal?: AbortSignal): Promise<void> {
  const boundMs = Math.min(policy.longestDelayMs, policy.firstDelayMs * 2 ** failures);
  await pause(Math.random() * boundMs, signal);
}

export function isTransient(error: unknown): boolean {
  return error instanceof StorageError && error.transient;
}
