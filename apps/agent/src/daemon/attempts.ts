import { paragraphOf } from '@strideiq/core';
import type { Events } from './events.ts';

/** Waits after one failure after another; the last of them again and again. */
const usualWaitsMs = [60_000, 120_000, 300_000, 600_000, 900_000];

interface Failed {
  failures: number;
  /** By this host's clock. */
  until: number;
  /** Why, in the words in which that was said. */
  reason: string;
}

export interface AttemptsParts {
  now: () => number;
  events: Pick<Events, 'warn'>;
  /** Left out: from a minute to a quarter of an hour. */
  waitsMs?: readonly number[];
}

/**
 * Work that is asked for each minute or so, and that may fail for as long: what failed rests, for longer each time, is said once
 * until the reason is another, and is forgotten as soon as it succeeds.
 */
export class Attempts {
  readonly #now: () => number;
  readonly #events: Pick<Events, 'warn'>;
  readonly #waitsMs: readonly number[];
  readonly #failed = new Map<string, Failed>();

  constructor({ now, events, waitsMs = usualWaitsMs }: AttemptsParts) {
    this.#now = now;
    this.#events = events;
    this.#waitsMs = waitsMs;
  }

  /**
   * Does nothing while it rests.
   * @param place what rests where the work fails: one text for each
   * @param failure what there is to say then, without an end: `could not …`
   * @throws the signal's reason, of which nothing is said: the next start tries again
   */
  async attempt(place: string, failure: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const now = this.#now();
    const before = this.#failed.get(place);
    if (before && this.#rests(before, now)) return;
    try {
      await work();
      this.#failed.delete(place);
    } catch (error) {
      signal.throwIfAborted();
      const failures = before?.failures ?? 0;
      const waitMs = this.#waitsMs[Math.min(failures, this.#waitsMs.length - 1)] ?? 0;
      const reason = paragraphOf(error);
      this.#failed.set(place, { failures: failures + 1, until: now + waitMs, reason });
      if (reason === before?.reason) return;
      this.#events.warn(`${failure}, and tries again in ${waitMs / 60_000} min: ${reason}`);
    }
  }

  /** A clock that was set back does not make anything wait for longer. */
  #rests({ until }: Failed, now: number): boolean {
    return now < until && until - now <= (this.#waitsMs.at(-1) ?? 0);
  }
}
