import { paragraphOf } from '@strideiq/core';
import type { Host } from '../compose.ts';
import type { Events } from '../daemon/events.ts';
import { makeCopy } from './make-copy.ts';
import { missingCopies } from './missing-copies.ts';

/** Waits after a failure with a store; the last of them again and again. */
const waitsMs = [60_000, 120_000, 300_000, 600_000, 900_000];

/** Has the copies of each backup made that could not be made with it, once their store is back: the oldest first. */
export class CopyKeeper {
  readonly #host: Host;
  readonly #events: Events;
  /** By store or, where none could be asked, by database. */
  readonly #resting = new Map<string, { failures: number; until: number }>();

  constructor(host: Host, events: Events) {
    this.#host = host;
    this.#events = events;
  }

  /** To be called each minute or so. Rejects with the signal's reason alone. */
  async look(signal: AbortSignal): Promise<void> {
    for (const database of Object.values(this.#host.configuration.databases)) {
      const host = this.#host.forWork(signal);
      try {
        await this.#attempt(database.name, database.name, async () => {
          for (const missing of await missingCopies(host, database)) {
            const { to, names } = missing;
            await this.#attempt(to.store.storeId, `${names.dump} could not be copied to ${to.name}`, async () => {
              const from = await makeCopy(host, missing);
              this.#events.info(`${names.dump} was copied from ${from.name} to ${to.name}, where it had been missing`);
            });
            signal.throwIfAborted();
          }
        });
      } finally {
        host.close();
      }
      signal.throwIfAborted();
    }
  }

  async #attempt(place: string, what: string, work: () => Promise<void>): Promise<void> {
    const now = this.#host.surroundings.now();
    const rest = this.#resting.get(place) ?? { failures: 0, until: 0 };
    // A clock that was set back does not make anything wait for longer.
    if (now < rest.until && rest.until - now <= (waitsMs.at(-1) ?? 0)) return;
    try {
      await work();
      this.#resting.delete(place);
    } catch (error) {
      const waitMs = waitsMs[Math.min(rest.failures, waitsMs.length - 1)] ?? 0;
      this.#resting.set(place, { failures: rest.failures + 1, until: now + waitMs });
      this.#events.warn(`${what}, and it is tried again in ${waitMs / 60_000} min: ${paragraphOf(error)}`);
    }
  }
}
