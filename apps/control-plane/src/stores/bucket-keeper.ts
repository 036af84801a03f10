import { fixedNames, paragraphOf, parseBackupName, type Drift } from '@strideiq/core';
import type { Store } from '@strideiq/storage';
import { and, eq, inArray } from 'drizzle-orm';
import { setImmediate } from 'node:timers/promises';
import type { Catalog } from '../catalog/open-catalog.ts';
import { databases, runs, stores } from '../catalog/schema.ts';
import type { OpenOwnStore, StoreRow } from '../copies/own-stores.ts';
import { copiesBefore, driftIn, isStanding, recordDrift, writeDrift } from '../drift/record-drift.ts';
import type { Log } from '../log.ts';
import { planStore } from '../retention/plan-store.ts';
import { removeCopies, type RemovedCopies } from '../retention/remove-copies.ts';
import { openRunStates } from '../runs/open-states.ts';
import { listingOf, type Listing } from './listing.ts';
import { isOwnedBy } from './owned-prefix.ts';

export interface BucketKeeperParts {
  catalog: Catalog;
  now: () => number;
  openOwnStore: OpenOwnStore;
  log: Log;
}

/** After a start agents first tell what has happened meanwhile. */
const firstAfterMs = 15 * 60_000;
const everyMs = 3_600_000;
/** An upload that began longer ago will not come to its end any more. */
const unfinishedMs = 24 * 3_600_000;
/** One bucket is not to hold up the others for longer. */
const longestMs = 15 * 60_000;

/** What became of one bucket. */
export interface KeptBucket {
  storeId: string;
  name: string;
  /** Undefined where it was not looked into. */
  drift?: Drift[];
  /** Why nothing was removed, where somebody has to act first. */
  waits?: string;
  outcome?: RemovedCopies;
}

/** What is to be removed beside what goes by itself. */
interface Approval {
  /** Ids of backups that somebody has looked at. */
  backupIds: readonly string[];
  /** Who: an API key's id. */
  actor: string;
}

/**
 * Looks after the buckets that the control plane has credentials for, hourly: compares each with the catalog, ends uploads
 * that were left over, and carries retention out. Directories are their agents'. What a host names no more is left alone.
 */
export class BucketKeeper {
  readonly #parts: BucketKeeperParts;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<unknown> = Promise.resolve();
  readonly #looks = new Map<string, Promise<KeptBucket[]>>();

  constructor(parts: BucketKeeperParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#in(firstAfterMs);
  }

  #in(ms: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer = setTimeout(() => void this.keepAll().finally(() => this.#in(everyMs)), ms);
    this.#timer.unref();
  }

  /** All databases, one after another. Never rejects. */
  async keepAll(): Promise<void> {
    const { catalog, log } = this.#parts;
    try {
      const ids = catalog.select({ id: databases.id }).from(databases).where(eq(databases.declared, true)).all();
      for (const { id } of ids) {
        if (this.#stopping.signal.aborted) return;
        await this.keep(id);
        await setImmediate();
      }
    } catch (error) {
      log.error({ err: error }, `buckets were not looked after: ${paragraphOf(error)}`);
    }
  }

  /**
   * The buckets of one database now, one database after another, whoever asks.
   * @param approval what goes also where much goes at once; left out: what goes by itself alone
   */
  async keep(databaseId: string, approval?: Approval): Promise<KeptBucket[]> {
    const kept = await this.#inTurn(databaseId, async (store) => this.#keep(store, approval));
    for (const { storeId, waits = null } of kept) {
      this.#parts.catalog.update(stores).set({ retentionWaits: waits }).where(eq(stores.id, storeId)).run();
    }
    return kept;
  }

  /** Only compares them with the catalog. */
  async look(databaseId: string): Promise<KeptBucket[]> {
    // Whoever asks while one waits gets the same.
    const waiting = this.#looks.get(databaseId);
    if (waiting) return waiting;
    const look = this.#inTurn(databaseId, async (store) => this.#look(store)).finally(() =>
      this.#looks.delete(databaseId),
    );
    this.#looks.set(databaseId, look);
    return look;
  }

  async #inTurn(databaseId: string, work: (store: StoreRow) => Promise<KeptBucket>): Promise<KeptBucket[]> {
    const all = this.#working.then(async () => {
      const kept: KeptBucket[] = [];
      for (const store of this.#bucketsOf(databaseId)) {
        if (this.#stopping.signal.aborted) break;
        kept.push(await this.#orProblem(store, work));
      }
      return kept;
    });
    this.#working = all.catch(() => undefined);
    return all;
  }

  #bucketsOf(databaseId: string): StoreRow[] {
    const own = and(eq(stores.databaseId, databaseId), eq(stores.type, 's3'), eq(stores.declared, true));
    return this.#parts.catalog.select().from(stores).where(own).all();
  }

  /** One bucket that cannot be reached keeps no other from being looked after. */
  async #orProblem(store: StoreRow, work: (store: StoreRow) => Promise<KeptBucket>): Promise<KeptBucket> {
    const { log } = this.#parts;
    const about = { databaseId: store.databaseId, storeId: store.id };
    try {
      const kept = await work(store);
      const { removed = [], locked = [], problems = [] } = kept.outcome ?? {};
      if (removed.length > 0) log.info(about, `retention removed ${removed.length} copies from ${store.name}`);
      if (locked.length > 0) log.info(about, `Object Lock keeps ${locked.length} copies in ${store.name} for now`);
      for (const problem of problems) log.warn(about, `retention in ${store.name}: ${problem}`);
      if (kept.waits !== undefined) log.warn(about, `retention in ${store.name} waits: ${kept.waits}`);
      return kept;
    } catch (error) {
      const waits = paragraphOf(error);
      if (!this.#stopping.signal.aborted) log.warn(about, `${store.name} could not be looked after: ${waits}`);
      return { storeId: store.id, name: store.name, waits };
    }
  }

  async #keep(row: StoreRow, approval: Approval | undefined): Promise<KeptBucket> {
    const looked = await this.#withStore(row, async (opened, signal) => {
      const { objects, drift, isOwn } = await this.#compare(row, opened, signal);
      if (!isOwn) return { drift, waits: notOwn(row) };
      const { catalog, now } = this.#parts;
      const { plan, waits } = planStore(catalog, row, now(), objects);
      if (plan.remove.length === 0) return { drift, ...(waits === undefined ? {} : { waits }) };
      if (waits !== undefined && !approval) return { drift, waits };
      const actor = approval?.actor ?? 'retention';
      const removal = { store: row, opened, listing: objects, only: approval?.backupIds, actor, signal };
      return { drift, outcome: await removeCopies(this.#parts, removal) };
    });
    return { storeId: row.id, name: row.name, ...looked };
  }

  async #look(row: StoreRow): Promise<KeptBucket> {
    const looked = await this.#withStore(row, async (opened, signal) => {
      const { drift, isOwn } = await this.#compare(row, opened, signal);
      return { drift, ...(isOwn ? {} : { waits: notOwn(row) }) };
    });
    return { storeId: row.id, name: row.name, ...looked };
  }

  async #withStore<T>(
    row: StoreRow,
    work: (opened: Store, signal: AbortSignal) => Promise<T>,
  ): Promise<T | { waits: string }> {
    const opened = await this.#parts.openOwnStore(row);
    if (!opened) return { waits: 'the control plane has no credentials for it (stores in its configuration)' };
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(longestMs)]);
    return work(opened, signal);
  }

  /** What is below a prefix that nobody says is this database's is none of its business, and nothing of it is told. */
  async #compare(
    row: StoreRow,
    opened: Store,
    signal: AbortSignal,
  ): Promise<{ objects: Listing; drift: Drift[]; isOwn: boolean }> {
    const { catalog, now } = this.#parts;
    const before = copiesBefore(catalog, row.id);
    if (!(await isOwnedBy(opened, row.databaseId))) {
      const text = `${row.location} does not say that it is this database's: nothing in it was compared.`;
      const drift: Drift[] = before.some(isStanding) ? [{ kind: 'missing', key: fixedNames.owner, text }] : [];
      const found = { storeId: row.id, by: 'controlPlane' as const, found: drift, now: now() };
      catalog.transaction((tx) => writeDrift(tx, found), { behavior: 'immediate' });
      return { objects: new Map(), drift, isOwn: false };
    }
    const objects = await listingOf(opened, signal);
    const seen = { storeId: row.id, before, listing: objects, now: now() };
    const drift = driftIn(seen);
    catalog.transaction((tx) => recordDrift(tx, { ...seen, found: drift }), { behavior: 'immediate' });
    // What was found is written down by now: who may not list uploads learns of drift all the same.
    await this.#endUnfinished(row, opened, signal);
    return { objects, drift, isOwn: true };
  }

  /** Those of this database's own backups, while none is being made. */
  async #endUnfinished(row: StoreRow, opened: Store, signal: AbortSignal): Promise<void> {
    const { catalog, now, log } = this.#parts;
    const { databaseId } = row;
    const database = catalog.select({ name: databases.name }).from(databases).where(eq(databases.id, databaseId)).get();
    const making = and(
      eq(runs.databaseId, databaseId),
      eq(runs.kind, 'backup'),
      inArray(runs.state, [...openRunStates]),
    );
    if (!database || catalog.select({ id: runs.id }).from(runs).where(making).get()) return;
    for await (const left of opened.unfinished()) {
      signal.throwIfAborted();
      const { key, startedAt } = left;
      if (startedAt.getTime() > now() - unfinishedMs || parseBackupName(key)?.database !== database.name) continue;
      await left.discard();
      const about = { databaseId, storeId: row.id };
      log.info(about, `an upload of ${key} into ${row.name} that was left since ${startedAt.toISOString()} was ended`);
    }
  }

  /** What is under way ends with the step that it is at. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the control plane stops'));
    clearTimeout(this.#timer);
    await this.#working;
  }
}

function notOwn({ location }: StoreRow): string {
  return `${location} is not known to be this database's: no ${fixedNames.owner} there says so`;
}
