import { codeOf } from '@strideiq/core';
import type { Host } from '../compose.ts';
import { Attempts } from '../daemon/attempts.ts';
import { eachDatabase } from '../daemon/each-database.ts';
import type { Events } from '../daemon/events.ts';
import { makeCopy, NoSourceError } from './make-copy.ts';
import { MissingCopies, type MissingCopy } from './missing-copies.ts';

/** One after another, and the store is left for a while. */
const mostFailures = 3;
/** What is wrong with a store, whichever copy it is to take. */
const ofStore = new Set([
  'StorageUnreachable',
  'StorageBusy',
  'StorageFull',
  'StoreStalled',
  'StoreNotMounted',
  'DiskTooSmall',
  'BucketMissing',
  'CredentialsInvalid',
  'PrefixTaken',
]);

/** Has the copies of each backup made that could not be made with it, once their store is back: the oldest first. */
export class CopyKeeper {
  readonly #host: Host;
  readonly #events: Events;
  /** By store; and by copy, where nothing that there is of its backup can be read. */
  readonly #attempts: Attempts;

  constructor(host: Host, events: Events) {
    this.#host = host;
    this.#events = events;
    this.#attempts = new Attempts({ now: host.surroundings.now, events });
  }

  /** To be called each minute or so. Rejects with the signal's reason alone. */
  async look(signal: AbortSignal): Promise<void> {
    await eachDatabase(this.#host, signal, async (host, database) =>
      this.#attempts.attempt(database.name, `could not make missing copies of ${database.name}`, signal, async () =>
        this.#lookAt(host, await MissingCopies.of(host, database)),
      ),
    );
  }

  async #lookAt(host: Host, all: MissingCopies): Promise<void> {
    const { signal } = host.surroundings;
    for (const to of all.stores) {
      await this.#attempts.attempt(
        to.store.storeId,
        `could not make missing copies in ${to.name}`,
        signal,
        async () => {
          let failures = 0;
          for (const missing of await all.in(to)) {
            const failure = await this.#make(host, missing);
            // One that cannot be made keeps no newer one from being made; a store that takes none is left for a while.
            failures = failure === undefined ? 0 : failures + 1;
            if (failure !== undefined && (failures === mostFailures || ofStore.has(codeOf(failure)))) throw failure;
          }
        },
      );
      signal.throwIfAborted();
    }
    for (const [{ store, name }, error] of all.asked) {
      await this.#attempts.attempt(`from ${store.storeId}`, `could not make copies from ${name}`, signal, async () => {
        if (error !== undefined) throw error;
      });
    }
  }

  /** @returns why it could not be put there, where its sources were good */
  async #make(host: Host, missing: MissingCopy): Promise<unknown> {
    const { to, names } = missing;
    const { signal } = host.surroundings;
    let failure: unknown;
    await this.#attempts.attempt(
      `${to.store.storeId} ${names.dump}`,
      `could not make ${names.dump} in ${to.name}`,
      signal,
      async () => {
        try {
          const { from, warnings } = await makeCopy(host, missing);
          this.#events.info(`${names.dump} was copied from ${from.name} to ${to.name}, where it had been missing`);
          for (const warning of warnings) this.#events.warn(warning);
        } catch (error) {
          if (!(error instanceof NoSourceError)) failure = error;
          // What is wrong with the store is said of the store.
          if (error instanceof NoSourceError || !ofStore.has(codeOf(error))) throw error;
        }
      },
    );
    return failure;
  }
}
