import { parseBackupName, type BackupNames } from '@strideiq/core';
import { findBackups } from '../backups/find-backups.ts';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import type { CopyOutcome, Run, SealedBackup } from '../journal/schema.ts';
import { mostBackups } from '../retention/most-backups.ts';
import { StoreRetention } from '../retention/store-retention.ts';
import { inTime } from '../stores/in-time.ts';
import type { OpenedStore } from '../stores/opened-store.ts';

/** A copy that should stand in a store and does not, or is not whole there, and where one stands that is. */
export interface MissingCopy {
  database: DatabaseConfiguration;
  runId: string;
  backupId: string;
  names: BackupNames;
  /** The moment in its name, milliseconds since 1970. */
  at: number;
  sealed: SealedBackup;
  to: OpenedStore;
  /** Directories first. */
  from: readonly OpenedStore[];
}

/** What copies are missing of one database, store by store. */
export class MissingCopies {
  readonly #host: Host;
  readonly #database: DatabaseConfiguration;
  readonly #stores: readonly OpenedStore[];
  readonly #made: readonly Run[];
  readonly #found: Map<string, ReturnType<Host['journal']['copies']['foundIn']>>;
  readonly #listings = new Map<string, Promise<Map<string, number | undefined>>>();
  /** Stores that copies are made from and that were asked, and why that could not be done; undefined where it could. */
  readonly asked = new Map<OpenedStore, unknown>();

  private constructor(host: Host, database: DatabaseConfiguration, stores: readonly OpenedStore[]) {
    const { journal } = host;
    this.#host = host;
    this.#database = database;
    this.#stores = stores;
    this.#made = journal.madeOf(host.databaseIdOf(database), mostBackups);
    this.#found = new Map(stores.map(({ store }) => [store.storeId, journal.copies.foundIn(store.storeId)]));
  }

  static async of(host: Host, database: DatabaseConfiguration): Promise<MissingCopies> {
    return new MissingCopies(host, database, await host.storesOf(database));
  }

  get stores(): readonly OpenedStore[] {
    return this.#stores;
  }

  /**
   * Copies that failed when their backup was made, or were found to be gone or corrupt since, of which another store has a
   * good one; oldest first. Only those that retention would keep.
   * @throws any StorageError of the store
   */
  async in(to: OpenedStore): Promise<MissingCopy[]> {
    const wanted = this.#made.flatMap((run) => this.#wantedOf(run, to));
    if (wanted.length === 0) return [];
    const keeping = new StoreRetention(this.#host, this.#database, to).wouldKeep(wanted.map(({ sealed }) => sealed));
    const kept = await inTime(keeping, to, this.#database.dump.stallLimitMs);
    const sourced: MissingCopy[] = [];
    for (const missing of wanted.filter(({ names }) => kept.has(names.dump))) {
      const from = await this.#there(missing);
      if (from.length > 0) sourced.push({ ...missing, from });
    }
    return sourced.toSorted((one, other) => one.at - other.at);
  }

  #isGood({ storeId, dumpKey, state, removedAt }: CopyOutcome): boolean {
    const found = this.#found.get(storeId)?.get(dumpKey);
    return state === 'stored' && removedAt === undefined && found !== 'corrupt' && found !== 'missing';
  }

  #wantedOf({ id: runId, detail }: Run, to: OpenedStore): MissingCopy[] {
    const { backupId, sealed, copies = [] } = detail;
    const outcomes = copies.filter((copy) => 'state' in copy);
    const own = outcomes.find(({ storeId }) => storeId === to.store.storeId);
    const parsed = sealed && parseBackupName(sealed.objectName);
    if (!own || own.removedAt !== undefined || this.#isGood(own) || backupId === undefined || !parsed) return [];
    const good = new Set(outcomes.filter((copy) => this.#isGood(copy)).map(({ storeId }) => storeId));
    const from = this.#stores
      .filter(({ store }) => good.has(store.storeId))
      .toSorted((one, other) => one.kind.localeCompare(other.kind));
    const { names, at } = parsed;
    const database = this.#database;
    return from.length === 0 ? [] : [{ database, runId, backupId, names, at: at.getTime(), sealed, to, from }];
  }

  /** Of the stores that should have it those that do: retention may have removed it there since. */
  async #there({ from, names, sealed }: MissingCopy): Promise<OpenedStore[]> {
    const there = await Promise.all(
      from.map(async (opened) => {
        const listing = await this.#listing(opened).catch((error: unknown) => {
          this.asked.set(opened, error);
          return undefined;
        });
        if (listing) this.asked.set(opened, undefined);
        return listing?.get(names.stem) === sealed.bytes ? [opened] : [];
      }),
    );
    return there.flat();
  }

  /** Sizes of dumps that have a manifest, by the names of their backups; asked for once. */
  async #listing(opened: OpenedStore): Promise<Map<string, number | undefined>> {
    const { storeId } = opened.store;
    const listing = this.#listings.get(storeId) ?? inTime(sizesIn(opened), opened, this.#database.dump.stallLimitMs);
    this.#listings.set(storeId, listing);
    return listing;
  }
}

async function sizesIn(opened: OpenedStore): Promise<Map<string, number | undefined>> {
  const backups = await findBackups([opened]);
  return new Map(
    backups.flatMap(({ names, copies: [copy] }) => (copy?.hasManifest === true ? [[names.stem, copy.sizeBytes]] : [])),
  );
}
