import { paragraphOf } from '@strideiq/core';
import type { Events } from '../daemon/events.ts';
import type { Discovery, ServerLook } from './discovery.ts';

/** How often servers are asked what they hold, and how soon again where one could not be. */
const everyMs = 300_000;
const afterFailureMs = 30_000;

/** Looks for new databases as long as the daemon runs, and says what has changed. */
export class ServerWatch {
  readonly #discovery: Discovery;
  readonly #now: () => number;
  readonly #events: Events;
  /** What was said last of each entry and each database that should not be left out: said once until it is otherwise. */
  #told = new Set<string>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #waitMs = 0;

  constructor(parts: { discovery: Discovery; now: () => number; events: Events }) {
    this.#discovery = parts.discovery;
    this.#now = parts.now;
    this.#events = parts.events;
  }

  /** To be called each second or so; takes a while where a server is slow. */
  async look(): Promise<void> {
    this.#discovery.recall();
    const now = this.#now();
    const isEarly = now >= this.#lookedAt && now < this.#lookedAt + this.#waitMs;
    if (!this.#discovery.hasServers || isEarly) return;
    const looks = await this.#discovery.look();
    this.#lookedAt = this.#now();
    this.#waitMs = looks.some(({ error }) => error !== undefined) ? afterFailureMs : everyMs;
    for (const { entry, seen } of looks) {
      for (const name of seen?.appeared ?? []) this.#events.info(`${name} was found on ${seen?.server} (${entry})`);
      for (const name of seen?.gone ?? []) {
        this.#events.warn(`${name} is on ${seen?.server} (${entry}) no more: its backups stay, and no more are made`);
      }
    }
    const problems = new Set(looks.flatMap(problemsOf));
    for (const problem of problems) if (!this.#told.has(problem)) this.#events.warn(problem);
    this.#told = problems;
  }
}

/** What somebody has to see to, each a paragraph. */
export function problemsOf({ entry, seen, error }: ServerLook): string[] {
  if (!seen) {
    return [
      `The server of ${entry} could not be asked which databases it holds; those that were found before hold on. ${paragraphOf(error)}`,
    ];
  }
  return seen.leftOut.flatMap(({ name, why, cure }) =>
    cure === undefined
      ? []
      : [`${JSON.stringify(name)} on ${seen.server} (${entry}) is not backed up: it ${why}. ${cure}`],
  );
}
