import { codeOf, paragraphOf } from '@strideiq/core';
import { setTimeout as delay } from 'node:timers/promises';
import { errorOf } from '../connection/problems.ts';
import type { Command } from '../run-command.ts';

/** A control plane that is started anew, or a network that comes back: a long run is worth the wait. */
const patienceMs = 10 * 60_000;
const firstPauseMs = 500;
const longestPauseMs = 10_000;

/** Waits for a control plane that has gone silent, longer each time, until it is heard again. */
export class Patience {
  readonly #command: Pick<Command, 'connection' | 'output' | 'signal'>;
  #heardAt = performance.now();
  #pauseMs = firstPauseMs;

  constructor(command: Pick<Command, 'connection' | 'output' | 'signal'>) {
    this.#command = command;
  }

  heard(): void {
    this.#heardAt = performance.now();
    this.#pauseMs = firstPauseMs;
  }

  /**
   * Waits before the next try.
   * @param failure why one is needed; undefined where the control plane has ended the conversation itself
   * @throws the failure where waiting is of no use, or no longer
   */
  async wait(failure?: unknown): Promise<void> {
    const { connection, output, signal } = this.#command;
    signal.throwIfAborted();
    if (failure !== undefined) {
      const error = errorOf(failure, connection);
      const passing = ['Unreachable', 'RateLimited'].includes(codeOf(error));
      if (!passing || performance.now() - this.#heardAt > patienceMs) throw error;
      if (this.#pauseMs === firstPauseMs) {
        output.note(`${error instanceof Error ? error.message : paragraphOf(error)} Runs go on without it; waiting.`);
      }
    }
    await delay(this.#pauseMs, undefined, { signal });
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
  }
}
