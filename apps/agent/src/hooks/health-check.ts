import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../errors.ts';

const everyMs = 1000;
const answerLimitMs = 10_000;

/**
 * Asks a URL until it answers 2xx: an application that was just started needs its time.
 * @throws AgentError `HealthCheckFailed` with its last answer
 */
export async function untilHealthy(url: string, limitMs: number): Promise<void> {
  const endAt = performance.now() + limitMs;
  for (;;) {
    const answer = await askOnce(url, Math.ceil(Math.max(1, Math.min(answerLimitMs, endAt - performance.now()))));
    if (answer === undefined) return;
    if (performance.now() + everyMs > endAt) {
      throw new AgentError(
        'HealthCheckFailed',
        `${url} has not answered with success for ${limitMs / 1000} s: ${answer}.`,
        'Look at the application’s own log; hooks.healthCheckLimit in agent.yaml sets how long it may take to start.',
      );
    }
    await delay(everyMs);
  }
}

/** Undefined where all is well. */
async function askOnce(url: string, limitMs: number): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(limitMs) });
    await response.body?.cancel();
    return response.ok ? undefined : `it answered ${response.status}`;
  } catch (error) {
    const { message, cause } = error as Error;
    return cause instanceof Error ? cause.message : message;
  }
}
