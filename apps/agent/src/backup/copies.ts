import { once, readAll } from '@strideiq/storage';
import { backupNames, codeOf, copyStates, fixedNames, paragraphOf, type BackupNames } from '@strideiq/core';
import prettyBytes from 'pretty-bytes';
import { AgentError } from '../errors.ts';
import type { CopyOutcome, PlannedCopy } from '../journal/schema.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { claimPrefix, type DatabaseOfPrefix } from '../stores/prefix-owner.ts';
import type { FanOut, Feed } from './fan-out.ts';
import { recoverText } from './recover-text.ts';
import { within } from './within.ts';

/** What stands beside the dump, ready to be stored. */
export interface Sealed {
  names: BackupNames;
  manifest: Buffer;
  privileges: Buffer | undefined;
  globals: Buffer | undefined;
  dumpBytes: number;
  /** LATEST is to become this one. */
  newest: boolean;
}

/** One store's copy on its way: what fails here fails this copy alone. */
export class Copy {
  readonly opened: OpenedStore;
  #failure: unknown;
  #feed: Feed | undefined;
  #upload: Promise<void> | undefined;
  #storedBytes: number | undefined;
  readonly warnings: string[] = [];

  readonly #stallLimitMs: number;

  /** @param stallLimitMs how long a step may take where the store does not watch itself: a dead mount never answers */
  constructor(opened: OpenedStore, stallLimitMs: number) {
    this.opened = opened;
    this.#stallLimitMs = stallLimitMs;
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** A step of a few small calls; an S3 store has its own limits for each. */
  async #short(step: () => Promise<void>): Promise<void> {
    await this.#attempt(async () => (this.opened.kind === 's3' ? step() : this.#inTime(step())));
  }

  async #inTime<T>(work: Promise<T>, limitMs = this.#stallLimitMs): Promise<T> {
    return within(work, {
      limitMs,
      late: () =>
        new AgentError(
          'StoreStalled',
          `${this.opened.store.location} has not answered for ${Math.round(limitMs / 1000)} s.`,
          'Look at the mount behind it; the next backup clears what was left there.',
        ),
    });
  }

  async #attempt(step: () => Promise<void>): Promise<void> {
    if (this.failed) return;
    try {
      await step();
    } catch (error) {
      this.#failure ??= error;
      this.#feed?.close();
    }
  }

  /**
   * Claims the prefix and looks for room.
   * @param needBytes what a dump of this database takes by all we know
   * @param wasUsed whether copies are known to stand there
   */
  async prepare(owner: DatabaseOfPrefix, needBytes: number, wasUsed: boolean): Promise<void> {
    await this.#short(async () => {
      await claimPrefix(this.opened, owner, wasUsed);
      const free = await this.opened.store.freeBytes();
      if (free !== undefined && free < needBytes) {
        throw new AgentError(
          'DiskTooSmall',
          `${this.opened.store.location} has ${prettyBytes(free)} free, and the next backup needs about ${prettyBytes(needBytes)}.`,
          'Make room there, or move the store to a larger disk; no backup was begun there.',
        );
      }
    });
  }

  /** Whether none of these names is taken. */
  async isFree(names: BackupNames): Promise<boolean> {
    let free = true;
    await this.#short(async () => {
      for (const key of [names.dump, names.manifest]) free &&= (await this.opened.store.head(key)) === undefined;
    });
    return free;
  }

  /**
   * Begins to take the stream; the object commits when the stream ends whole.
   * @param expectedBytes about what it will be
   */
  upload(names: BackupNames, fanOut: FanOut, expectedBytes: number): void {
    if (this.failed) return;
    const feed = fanOut.feed({ watchesItself: this.opened.kind === 's3' });
    this.#feed = feed;
    this.#upload = this.#attempt(async () => {
      const stored = await this.opened.store.put(names.dump, feed, {
        signal: feed.signal,
        expectedBytes,
        onStored: () => feed.moved(),
      });
      this.#storedBytes = stored.sizeBytes;
      feed.close();
    });
  }

  /** Waits until the dump is in, then adds privileges, globals, manifest (the commit point) and the names of the newest. */
  async complete(sealed: Sealed): Promise<void> {
    await this.settled();
    await this.#short(async () => {
      if (this.#storedBytes !== sealed.dumpBytes) {
        throw new AgentError(
          'StoreFailed',
          `${this.opened.store.location} holds ${this.#storedBytes} bytes of ${sealed.names.dump}, ${sealed.dumpBytes} were sent.`,
          'Take another backup, and look at what stands between the agent and the store.',
        );
      }
      await completeCopy(this.opened, sealed, this.warnings);
    });
  }

  /** Waits for the upload to have ended, once the stream has ended or failed. */
  async settled(): Promise<void> {
    const upload = this.#upload;
    if (upload === undefined) return;
    if (this.opened.kind === 's3') return upload;
    try {
      // Its last step brings everything that the kernel still holds to the disk.
      await this.#inTime(upload, this.#stallLimitMs * 5);
    } catch (error) {
      this.#failure ??= error;
      this.#feed?.fail(error as Error);
    }
  }

  /** @param dumpKey empty where no name has been chosen yet */
  planned(dumpKey: string): PlannedCopy {
    const { store, name } = this.opened;
    return { storeId: store.storeId, store: name, location: store.location, dumpKey };
  }

  /** What became of it, once it has settled; `dumpKey` as for `planned`. */
  outcome(dumpKey: string): CopyOutcome {
    const planned = this.planned(dumpKey);
    if (!this.failed)
      return { ...planned, state: copyStates.move('uploading', 'stored'), sizeBytes: this.#storedBytes ?? 0 };
    const state = copyStates.move('uploading', 'failed');
    const failed = { state, errorCode: codeOf(this.#failure), error: paragraphOf(this.#failure) };
    return { ...planned, ...failed, ...(this.#upload === undefined ? {} : { mayHaveLeft: true as const }) };
  }
}

/** No store holds the backup; each one's own reason is in `copies`. */
export class NoCopyError extends AgentError {
  readonly copies: CopyOutcome[];

  /** @param dumpKey as for `Copy.planned` */
  constructor(copies: readonly Copy[], dumpKey = '') {
    const outcomes = copies.map((copy) => copy.outcome(dumpKey));
    const reasons = outcomes.map(({ store, error }) => `${store}: ${error ?? 'no reason given'}`);
    super('NoCopyStored', `No store holds the backup. ${reasons.join(' ')}`);
    this.copies = outcomes;
  }
}

/**
 * Everything that follows the dump in a store; each step may be repeated, so that a killed backup can be finished.
 * Once the manifest is there the copy is good: what fails after it is a warning.
 */
export async function completeCopy({ store, name }: OpenedStore, sealed: Sealed, warnings: string[]): Promise<void> {
  const { names, manifest, privileges, globals, newest } = sealed;
  for (const [key, beside] of [
    [names.privileges, privileges],
    [names.globals, globals],
  ] as const) {
    if (beside && !(await store.head(key))) await store.put(key, once(beside));
  }
  if (!(await store.head(names.manifest))) await store.put(names.manifest, once(manifest));
  if (!newest) return;
  try {
    await store.copy(names.dump, fixedNames.latestDump, { replace: true });
    await store.copy(names.manifest, fixedNames.latestManifest, { replace: true });
    const recover = Buffer.from(recoverText(store.location, manifest));
    const present = await store.head(fixedNames.recover);
    if (!present || !(await readAll(await store.get(fixedNames.recover))).equals(recover)) {
      await store.put(fixedNames.recover, once(recover), { replace: true });
    }
  } catch (error) {
    warnings.push(`${name}: the backup is stored, but LATEST or RECOVER.txt was not updated: ${paragraphOf(error)}`);
  }
}

/** The first names from `at` on, second by second, that no store has taken. */
export async function chooseNames(database: string, at: Date, copies: readonly Copy[]): Promise<BackupNames> {
  for (let second = 0; ; second++) {
    const names = backupNames(database, new Date(at.getTime() + second * 1000));
    const free = await Promise.all(copies.map((copy) => copy.isFree(names)));
    if (free.every(Boolean)) return names;
  }
}
