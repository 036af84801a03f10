import { paragraphOf } from '@strideiq/core';
import type { AgentConnections } from '../agents/agent-connections.ts';
import type { Catalog } from '../catalog/open-catalog.ts';
import type { Log } from '../log.ts';
import { expireCommands } from './expire-commands.ts';
import type { LiveRuns } from './live-runs.ts';
import { loseRunsOfAbsent } from './lose-runs.ts';
import { prune } from './prune.ts';

export interface SweeperParts {
  catalog: Catalog;
  now: () => number;
  connections: AgentConnections;
  liveRuns: LiveRuns;
  log: Log;
}

const everyMs = 5000;
const minuteMs = 60_000;
const seenEveryMs = 5 * minuteMs;
const pruneEveryMs = 60 * minuteMs;

/** How long agents are given to come back after a start before one is taken for gone. */
const graceMs = 10 * minuteMs;

/** Ends what nobody will end: commands whose time is over, runs that were forgotten, rows that nobody needs any more. */
export class Sweeper {
  readonly #parts: SweeperParts;
  readonly #startedAt: number;
  #timer: NodeJS.Timeout | undefined;
  #seenAt: number;
  #prunedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: SweeperParts) {
    this.#parts = parts;
    this.#startedAt = parts.now();
    this.#seenAt = this.#startedAt;
  }

  /** Sweeps now, and then every few seconds until `stop`. */
  start(): void {
    const turn = () => {
      try {
        this.sweep();
      } catch (error) {
        // A disk that is full now may not be so in a moment.
        this.#parts.log.error({ err: error }, `the sweep failed: ${paragraphOf(error)}`);
      }
      this.#timer = setTimeout(turn, everyMs);
    };
    turn();
  }

  /** One round of all of it. */
  sweep(): void {
    const { now, connections, log } = this.#parts;
    const expired = expireCommands(this.#parts);
    // While this program was down nobody could be there: who was long away then is not yet gone.
    const lost = now() - this.#startedAt >= graceMs ? loseRunsOfAbsent(this.#parts) : [];
    for (const runId of expired) log.warn({ runId }, 'a run expired: no host had begun it in time');
    for (const runId of lost) log.warn({ runId }, 'a run is lost: its host has not been seen for a day');
    if (now() - this.#seenAt >= seenEveryMs) {
      connections.noteSeen();
      this.#seenAt = now();
    }
    if (now() - this.#prunedAt >= pruneEveryMs) {
      prune(this.#parts);
      this.#prunedAt = now();
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
