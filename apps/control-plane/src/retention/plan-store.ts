import {
  isMassRemoval,
  planRetention,
  usualRetention,
  type CopyState,
  type Pin,
  type RetainedCopy,
  type RetentionPlan,
  type Turnover,
} from '@strideiq/core';
import { and, eq } from 'drizzle-orm';
import { backups, copies, databases, pins, stores } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import type { StoreRow } from '../copies/own-stores.ts';
import { policyInForce } from '../policies/kept-policies.ts';
import type { Listing } from '../stores/listing.ts';

/** What retention says of one store, by what the catalog knows and, where it was listed, by what the store holds. */
export interface StorePlan {
  store: StoreRow;
  plan: RetentionPlan;
  /** Why nothing is removed before somebody has looked; left out: nothing speaks against it. */
  waits?: string;
}

interface KnownCopy {
  copy: typeof copies.$inferSelect;
  backup: typeof backups.$inferSelect;
}

/** What a copy is worth that still stands in its store; others are none that retention looks at. */
const worth: Partial<Record<CopyState, RetainedCopy['state']>> = {
  verified: 'verified',
  stored: 'good',
  locked: 'good',
  deleting: 'good',
  corrupt: 'bad',
  missing: 'bad',
};

/** Removals and additions of so long ago count with what would go now. */
const latelyMs = 7 * 86_400_000;

/** Plans for every store that the database's host still names. */
export function planStores(tx: CatalogReader, databaseId: string, now: number): StorePlan[] {
  const own = and(eq(stores.databaseId, databaseId), eq(stores.declared, true));
  return tx
    .select()
    .from(stores)
    .where(own)
    .all()
    .map((store) => planStore(tx, store, now));
}

/** @param listing of the store: a good copy that is not in it is none */
export function planStore(tx: CatalogReader, store: StoreRow, now: number, listing?: Listing): StorePlan {
  const kept = policyInForce(tx, store.databaseId);
  if (!kept) {
    const waits = 'no policy is kept of its database';
    return { store, plan: { keep: [], remove: [] }, waits };
  }
  const { timezone, retention } = kept.policy;
  const rules = retention[store.name] ?? usualRetention[store.type];
  const known = knownIn(tx, store);
  const retained = known.flatMap((each) => retainedOf(each, listing));
  const input = { now, copies: retained, rules, pins: pinsOf(tx, store.databaseId), least: 1, timezone };
  const plan = planRetention(input);
  if (!isMassRemoval(plan, input, turnoverOf(known, now - latelyMs))) return { store, plan };
  const all = plan.keep.length + plan.remove.length;
  return {
    store,
    plan,
    waits: `it would remove ${plan.remove.length} of ${all} copies, and somebody has to look first`,
  };
}

function retainedOf({ copy, backup }: KnownCopy, listing: Listing | undefined): RetainedCopy[] {
  const state = worth[copy.state];
  if (state === undefined) return [];
  const sizeBytes = copy.sizeBytes ?? backup.bytes;
  const isThere = listing === undefined || listing.get(copy.key)?.sizeBytes === sizeBytes;
  const isGood = isThere && backup.state === 'succeeded';
  return [
    {
      backupId: backup.id,
      at: backup.hostSnapshotAt ?? backup.hostFinishedAt,
      state: isGood ? state : 'bad',
      safety: backup.safety,
      sizeBytes,
      knownSince: backup.recordedAt,
    },
  ];
}

function turnoverOf(known: readonly KnownCopy[], since: number): Turnover {
  const lately = known.filter(({ backup }) => backup.recordedAt > since);
  const isRemoved = ({ copy }: KnownCopy) => copy.state === 'deleted' && copy.changedAt > since;
  return { added: lately.length, removed: known.filter(isRemoved).length };
}

function knownIn(tx: CatalogReader, { id, databaseId }: StoreRow): KnownCopy[] {
  return tx
    .select({ copy: copies, backup: backups })
    .from(copies)
    .innerJoin(backups, eq(backups.id, copies.backupId))
    .where(and(eq(copies.storeId, id), eq(backups.databaseId, databaseId)))
    .all();
}

function pinsOf(tx: CatalogReader, databaseId: string): Pin[] {
  return tx
    .select({ backupId: pins.backupId, reason: pins.reason, until: pins.until })
    .from(pins)
    .innerJoin(backups, eq(backups.id, pins.backupId))
    .innerJoin(databases, eq(databases.id, backups.databaseId))
    .where(eq(databases.id, databaseId))
    .all();
}
