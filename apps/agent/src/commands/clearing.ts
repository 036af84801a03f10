import { paragraphOf } from '@strideiq/core';
import { within } from '../backup/within.ts';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import type { Events } from '../daemon/events.ts';
import { isInPlace } from '../in-place/in-place-runs.ts';
import type { RunsUnderWay } from '../journal/left-runs.ts';
import { clearDatabase } from '../leftovers/clear-database.ts';

/** A store or server that answers nothing holds up a database no longer than this. */
const usualLimitMs = 120_000;

/** Clears what runs have left, again and again for as long as the daemon runs. */
export class Clearing {
  readonly #host: Host;
  readonly #events: Events;
  /** Databases whose clearing has not come to its end, be it that nobody waits for it any more. */
  readonly #underWay = new Set<string>();
  /** Why a database could not be cleared, as it was said last. */
  readonly #told = new Map<string, string>();

  constructor({ host, events }: { host: Host; events: Events }) {
    this.#host = host;
    this.#events = events;
  }

  /**
   * Never rejects, and ends in time: what could not be cleared is said.
   * @param underWay runs that this process is at, at any moment: a clearing that hangs may go on beside later ones
   */
  async clear(database: DatabaseConfiguration, underWay: RunsUnderWay, signal: AbortSignal): Promise<void> {
    // A call into a dead mount never comes back: another one would only wait beside it.
    if (this.#underWay.has(database.name)) return;
    this.#underWay.add(database.name);
    const host = this.#host.forWork(new AbortController().signal);
    const clearing = clearDatabase(host, database, { underWay }).finally(() => {
      this.#underWay.delete(database.name);
      host.close();
    });
    try {
      const limitMs = this.#limitMs(database, underWay);
      const late = () => new Error(`no answer for ${limitMs / 1000} s`);
      const done = await within(clearing, { limitMs, late, signal });
      for (const { runId, kind, state, text } of done?.cleared ?? []) {
        this.#events.warn(`${kind} ${state}: ${text}`, { runId });
      }
      this.#tell(database, done?.problems.join(' ') ?? '');
    } catch (error) {
      if (signal.aborted) return;
      this.#tell(
        database,
        `what earlier runs of ${database.name} left could not be cleared yet: ${paragraphOf(error)}`,
      );
    }
  }

  /** While a restore in place is brought to its end, with the host's own hooks, nothing else is begun there. */
  #limitMs(database: DatabaseConfiguration, underWay: RunsUnderWay): number {
    const { left } = this.#host.journal;
    const killed = left.abandoned([this.#host.databaseIdOf(database)], underWay).filter(isInPlace);
    const { timeLimitMs, healthCheckLimitMs } = database.hooks;
    return usualLimitMs + killed.length * 2 * (timeLimitMs + healthCheckLimitMs);
  }

  /** Once for each reason, and not again with each try. */
  #tell({ name }: DatabaseConfiguration, problem: string): void {
    if (problem !== '' && this.#told.get(name) !== problem) this.#events.warn(problem);
    this.#told.set(name, problem);
  }
}
