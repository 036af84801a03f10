import { paragraphOf } from '@strideiq/core';
import { setTimeout as delay } from 'node:timers/promises';
import { within } from '../backup/within.ts';
import type { Commands } from '../commands/commands.ts';
import type { CopyKeeper } from '../copies/copy-keeper.ts';
import type { ServerWatch } from '../discovery/watch-servers.ts';
import type { StoreWatcher } from '../drift/store-watcher.ts';
import type { Link } from '../link/link.ts';
import type { Scheduler } from '../schedule/scheduler.ts';
import type { Events } from './events.ts';
import type { JournalKeeper } from './journal-keeper.ts';

/** How often what could not be cleared is tried again. */
const careEveryMs = 60_000;

/** How often it is seen whether a command that waits has become too old. */
const pumpEveryMs = 2_000;

/** How often it is seen whether a backup is due. */
const lookEveryMs = 1_000;

/** How often it is seen whether servers are to be asked for new databases. */
const serversEveryMs = 1_000;

/** How often it is seen whether a copy is missing that can be made now. */
const copiesEveryMs = 60_000;

/** How often it is seen whether a store is to be compared with what is known of it. */
const storesEveryMs = 60_000;

/** How often it is seen whether the day is over on which the journal was made smaller. */
const journalEveryMs = 60_000;

/** How long the last reports are waited for when the daemon stops. */
const lastWordsMs = 5_000;

export interface DaemonParts {
  journal: Pick<JournalKeeper, 'look'>;
  /** Left out where there is no control plane. */
  link: Link | undefined;
  commands: Commands;
  scheduler: Scheduler;
  servers: Pick<ServerWatch, 'look'>;
  copies: Pick<CopyKeeper, 'look'>;
  stores: Pick<StoreWatcher, 'look'>;
  events: Events;
}

/**
 * The agent as long as it runs: its schedule, copies that are missing, the line to the control plane, what comes over it, and what
 * earlier runs have left.
 */
export class Daemon {
  readonly #parts: DaemonParts;

  constructor(parts: DaemonParts) {
    this.#parts = parts;
  }

  /** Resolves when all is ended in good order. @param stop aborted with the reason to stop for */
  async run(stop: AbortSignal): Promise<void> {
    const { link, commands, events, scheduler, servers, copies, stores, journal } = this.#parts;
    const over = new AbortController();
    // So that what is said of this host first is all of it; what is wrong here is said by the loop below.
    await within(servers.look(), { signal: stop }).catch(() => undefined);
    const loops = [
      ...(link ? [link.run(over.signal)] : []),
      this.#every(careEveryMs, stop, async () => this.#care()),
      this.#every(pumpEveryMs, stop, async () => commands.queue.pump()),
      this.#every(lookEveryMs, stop, async () => scheduler.look()),
      this.#every(serversEveryMs, stop, async () => within(servers.look(), { signal: stop })),
      this.#every(copiesEveryMs, stop, async () => within(copies.look(stop), { signal: stop })),
      this.#every(storesEveryMs, stop, async () => within(stores.look(stop), { signal: stop })),
      this.#every(journalEveryMs, stop, async () => within(journal.look(stop), { signal: stop })),
    ];
    await aborted(stop);
    events.info(`stopping: ${(stop.reason as Error).message}`);
    await commands.stop(stop.reason as Error);
    await this.#lastWords();
    over.abort();
    await Promise.all(loops);
    events.info('stopped');
  }

  async #care(): Promise<void> {
    const { commands } = this.#parts;
    commands.resume();
    await commands.queue.clearIdle();
  }

  /** Ends with the signal alone: what fails is said, once until it is otherwise, and tried again. */
  async #every(ms: number, stop: AbortSignal, work: () => Promise<void>): Promise<void> {
    let told = '';
    while (!stop.aborted) {
      const failure = await work().then(
        () => '',
        (error: unknown) => paragraphOf(error),
      );
      if (stop.aborted) return;
      // A disk that is full is so each second.
      if (failure !== '' && failure !== told) this.#parts.events.error(failure);
      told = failure;
      await delay(ms, undefined, { signal: stop }).catch(() => undefined);
    }
  }

  /** What happened last is told now, where that takes no time; else it is told when this host is back. */
  async #lastWords(): Promise<void> {
    const { link } = this.#parts;
    const until = performance.now() + lastWordsMs;
    while (link?.isConnected === true && !link.isDrained && performance.now() < until) await delay(50);
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
