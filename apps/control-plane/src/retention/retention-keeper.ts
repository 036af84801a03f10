import { paragraphOf } from '@strideiq/core';
import { eq } from 'drizzle-orm';
import type { Catalog } from '../catalog/open-catalog.ts';
import { databases } from '../catalog/schema.ts';
import type { OpenOwnStore } from '../copies/own-stores.ts';
import type { Log } from '../log.ts';
import { planStores, type PlannedStore } from './plan-store.ts';
import { removeCopies, type RemovedCopies } from './remove-copies.ts';

export interface RetentionParts {
  catalog: Catalog;
  now: () => number;
  openOwnStore: OpenOwnStore;
  log: Log;
}

/** After a start agents first tell what has happened meanwhile. */
const firstAfterMs = 15 * 60_000;
const everyMs = 3_600_000;

/** What became of one bucket. */
export interface KeptStore {
  storeId: string;
  name: string;
  /** Why nothing was removed, where nothing was to be: nobody has credentials, or somebody has to look first. */
  waits?: string;
  outcome?: RemovedCopies;
}

/** Carries retention out in the buckets that the control plane has credentials for, hourly; directories are their agents'. */
export class RetentionKeeper {
  readonly #parts: RetentionParts;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(parts: RetentionParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#in(firstAfterMs);
  }

  #in(ms: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.keepAll().finally(() => this.#in(everyMs)), ms);
    this.#timer.unref();
  }

  /** All databases, one after another. Never rejects. */
  async keepAll(): Promise<void> {
    const { catalog, log } = this.#parts;
    const ids = catalog.select({ id: databases.id }).from(databases).where(eq(databases.declared, true)).all();
    for (const { id } of ids) {
      if (this.#stopped) return;
      await this.keep(id).catch((error: unknown) => {
        log.error({ err: error, databaseId: id }, `retention failed: ${paragraphOf(error)}`);
      });
    }
  }

  /**
   * One database now. One after another, whoever asks.
   * @param by who has looked at what goes, where much goes at once; left out: nobody has
   */
  async keep(databaseId: string, by?: { actor: string }): Promise<KeptStore[]> {
    const work = this.#working.then(async () => this.#keep(databaseId, by));
    this.#working = work.catch(() => undefined);
    return work;
  }

  async #keep(databaseId: string, by: { actor: string } | undefined): Promise<KeptStore[]> {
    const { catalog, now, log } = this.#parts;
    const kept: KeptStore[] = [];
    for (const planned of planStores(catalog, databaseId, now())) {
      if (planned.store.type !== 's3' || this.#stopped) continue;
      const result = await this.#keepStore(planned, by);
      kept.push(result);
      const about = { databaseId, storeId: result.storeId };
      const { removed = [], locked = [], problems = [] } = result.outcome ?? {};
      if (removed.length > 0) log.info(about, `retention removed ${removed.length} copies from ${result.name}`);
      if (locked.length > 0) log.info(about, `Object Lock keeps ${locked.length} copies in ${result.name} for now`);
      for (const problem of problems) log.warn(about, `retention in ${result.name}: ${problem}`);
      if (result.waits !== undefined) log.warn(about, `retention in ${result.name} waits: ${result.waits}`);
    }
    return kept;
  }

  async #keepStore(planned: PlannedStore, by: { actor: string } | undefined): Promise<KeptStore> {
    const { store: row, plan, isMass, problem } = planned;
    const base = { storeId: row.id, name: row.name };
    if (problem !== undefined) return { ...base, waits: problem };
    if (isMass && !by) {
      const all = plan.keep.length + plan.remove.length;
      const waits = `it would remove ${plan.remove.length} of ${all} copies at once, and somebody has to look first`;
      return { ...base, waits };
    }
    const store = await this.#parts.openOwnStore(row);
    if (!store)
      return plan.remove.length === 0 ? base : { ...base, waits: 'the configuration has no credentials for it' };
    return { ...base, outcome: await removeCopies(this.#parts, planned, store, by?.actor ?? 'retention') };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#working;
  }
}
