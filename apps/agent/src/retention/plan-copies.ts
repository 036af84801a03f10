import { isMassRemoval, paragraphOf, planRetention, type RetentionPlan } from '@strideiq/core';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { inTime } from '../stores/in-time.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { awaitedCopies, noLongerAwaited } from './awaited-copies.ts';
import { StoreRetention } from './store-retention.ts';

/** What of a database's copies in one store stays, and what goes. */
export interface StorePlan {
  opened: OpenedStore;
  plan: RetentionPlan;
  /** More would go at once than retention removes from day to day. */
  isMass: boolean;
  /** Why nothing was planned for it, where nothing was. */
  problem?: string;
}

export interface PlanOptions {
  /** Ids of the stores to look at; left out: all. */
  only?: readonly string[] | undefined;
  /** Where the host's file has no rules for a store. */
  usualDays?: number | undefined;
}

/**
 * What retention would remove from the stores that this host looks after: its directories; and buckets where it has no control
 * plane, which looks after them otherwise. A store that cannot be asked, or that is not known to be this database's, has
 * nothing removed.
 */
export async function planCopies(
  host: Host,
  database: DatabaseConfiguration,
  { only, usualDays }: PlanOptions = {},
): Promise<StorePlan[]> {
  const stores = await host.storesOf(database);
  const ours = stores.filter(
    ({ kind, store }) =>
      (kind === 'directory' || host.configuration.controlPlane === undefined) &&
      (only?.includes(store.storeId) ?? true),
  );
  return Promise.all(
    ours.map(async (opened) => {
      try {
        const retention = new StoreRetention(host, database, opened, usualDays);
        // A mount that is dead never answers, and is not to hold up the next backup.
        const copies = await inTime(retention.copies(), opened, database.dump.stallLimitMs);
        const pins = awaitedCopies(host, database, stores, opened);
        const waited = noLongerAwaited(host, database, opened);
        const counted = retention.inputOf(
          copies.filter(({ backupId }) => !waited.has(backupId)),
          pins,
        );
        const isMass = isMassRemoval(planRetention(counted), counted);
        return { opened, plan: planRetention(retention.inputOf(copies, pins)), isMass };
      } catch (error) {
        return { opened, plan: { keep: [], remove: [] }, isMass: false, problem: paragraphOf(error) };
      }
    }),
  );
}
