import type { HooksConfiguration } from '../configuration/index.ts';
import { untilHealthy } from '../hooks/health-check.ts';
import { notingIn } from '../hooks/hook-process.ts';
import { runHook } from '../hooks/run-hook.ts';
import type { Journal } from '../journal/journal.ts';
import { log } from '../journal/run-log.ts';

export interface SwapHooksParts {
  hooks: HooksConfiguration;
  journal: Journal;
  runId: string;
  /** Name in the host's file. */
  database: string;
  /** Name on the server. */
  target: string;
  backupId: string | undefined;
}

/** The host's own commands around a swap. */
export class SwapHooks {
  readonly #parts: SwapHooksParts;

  constructor(parts: SwapHooksParts) {
    this.#parts = parts;
  }

  /** Stops the application. @throws AgentError `HookFailed`; the signal's own reason */
  async before(signal: AbortSignal): Promise<void> {
    const { hooks } = this.#parts;
    await runHook('beforeSwap', hooks.beforeSwap, { ...this.#run(), signal });
  }

  /**
   * Starts it again, and waits until it is well. Nothing interrupts it: an application that stands still is the worst of
   * all outcomes.
   * @throws AgentError `HookFailed`, `HealthCheckFailed`
   */
  async after(outcome: 'replaced' | 'kept'): Promise<void> {
    const { hooks } = this.#parts;
    await runHook('afterSwap', hooks.afterSwap, { ...this.#run(), outcome });
    if (hooks.healthCheck !== undefined) await untilHealthy(hooks.healthCheck, hooks.healthCheckLimitMs);
  }

  #run() {
    const { hooks, journal, runId, database, target, backupId } = this.#parts;
    return {
      runId,
      database,
      target,
      backupId,
      limitMs: hooks.timeLimitMs,
      say: (line: string) => log(journal, runId, 'info', line),
      running: notingIn(journal, runId),
    };
  }
}
