import { paragraphOf } from '@strideiq/core';
import { findBackups } from '../backups/find-backups.ts';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { inTime } from '../stores/in-time.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { ownsPrefix } from '../stores/prefix-owner.ts';
import { eachDatabase } from './each-database.ts';
import type { Events } from './events.ts';

const dayMs = 86_400_000;

/** Keeps the journal small: once at the start and then once a day it lets go of what nothing needs any more. */
export class JournalKeeper {
  readonly #host: Host;
  readonly #events: Events;
  /** By this host's clock. */
  #prunedAt = Number.NEGATIVE_INFINITY;

  constructor(host: Host, events: Events) {
    this.#host = host;
    this.#events = events;
  }

  /** To be called each minute or so. @throws where the journal cannot be written to: nothing was let go of then */
  async look(signal: AbortSignal): Promise<void> {
    const now = this.#host.surroundings.now();
    // A clock that was set back does not put it off.
    if (now >= this.#prunedAt && now < this.#prunedAt + dayMs) return;
    const { shortened } = this.#host.pruneJournal();
    if (shortened > 0) this.#events.warn(shortenedText(shortened));
    await eachDatabase(this.#host, signal, async (host, database) => {
      // One whose stores cannot be opened keeps no other from it.
      await letGoOfGone(host, database).catch((error: unknown) => {
        const what = `what is known of backups of ${database.name} that are gone is kept`;
        this.#events.warn(`${what}: ${paragraphOf(error)}`);
      });
    });
    this.#prunedAt = now;
  }
}

export function shortenedText(shortened: number): string {
  return `The control plane has been away for so long that the logs of ${shortened} runs' reports were shortened to a line each. How each run ended is kept, and told once it is back.`;
}

/**
 * Old backups of which no store holds a copy any more. A store that cannot be asked, that is not in the host's file any more or
 * not known to be this database's, may hold one.
 */
async function letGoOfGone(host: Host, database: DatabaseConfiguration): Promise<void> {
  const { old } = host.journal;
  const databaseId = host.databaseIdOf(database);
  const backups = old.backups(databaseId);
  if (backups.length === 0) return;
  const there = new Map<string, Set<string>>();
  for (const opened of await host.storesOf(database)) {
    const held = await inTime(keysIn(opened, databaseId), opened, database.dump.stallLimitMs).catch(() => undefined);
    if (held) there.set(opened.store.storeId, held);
  }
  const isGone = ({ storeId, dumpKey }: { storeId: string; dumpKey: string }) =>
    there.get(storeId)?.has(dumpKey) === false;
  const gone = backups.filter(({ copies }) => copies.every(isGone)).map(({ runId }) => runId);
  old.letGo(databaseId, gone, there);
}

/** Names of the dumps of which something is there; undefined where that cannot be said. */
async function keysIn(opened: OpenedStore, databaseId: string): Promise<Set<string> | undefined> {
  if (!(await ownsPrefix(opened, databaseId))) return undefined;
  return new Set((await findBackups([opened])).map(({ names }) => names.dump));
}
