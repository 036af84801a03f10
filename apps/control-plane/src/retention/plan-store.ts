import {
  isMassRemoval,
  parseBackupName,
  planRetention,
  policyProblems,
  usualRetention,
  type CopyState,
  type Pin,
  type RetainedCopy,
  type RetentionInput,
  type RetentionPlan,
  type Turnover,
} from '@strideiq/core';
import { and, eq } from 'drizzle-orm';
import { backups, copies, databases, pins, stores } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import type { StoreRow } from '../copies/own-stores.ts';
import { namesOfStores, policyInForce } from '../policies/kept-policies.ts';
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

/** Later than by a week's absence of the control plane nothing is told of in good order. */
const backdatedMs = 8 * 86_400_000;
/** What has been known for so long is what it is. */
const settledMs = 30 * 86_400_000;

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
  const planned = planBy(tx, store, now, listing);
  if (typeof planned === 'string') return { store, plan: { keep: [], remove: [] }, waits: planned };
  const { plan, input, known } = planned;
  if (!isMassRemoval(plan, input, turnoverOf(known, now - latelyMs))) return { store, plan };
  const all = plan.keep.length + plan.remove.length;
  return {
    store,
    plan,
    waits: `it would remove ${plan.remove.length} of ${all} copies, and somebody has to look first`,
  };
}

/** What would go, whether or not it waits for somebody to look; nothing while nobody can say. */
export function removalsIn(tx: CatalogReader, store: StoreRow, now: number, listing: Listing): Map<string, string> {
  const planned = planBy(tx, store, now, listing);
  if (typeof planned === 'string') return new Map();
  return new Map(planned.plan.remove.map(({ backupId, reason }) => [backupId, reason]));
}

interface Planned {
  plan: RetentionPlan;
  input: RetentionInput;
  known: KnownCopy[];
}

/** @returns why nothing can be planned, where that is so */
function planBy(tx: CatalogReader, store: StoreRow, now: number, listing: Listing | undefined): Planned | string {
  const kept = policyInForce(tx, store.databaseId);
  if (!kept) return 'no policy is kept of its database';
  const database = tx.select().from(databases).where(eq(databases.id, store.databaseId)).get();
  if (database?.runsPolicy && database.runsPolicy > kept.version) {
    return `its agent goes by version ${database.runsPolicy} of the policy, and the catalog knows version ${kept.version}: it is an older one, so look at the policy and set it again`;
  }
  const problems = policyProblems(kept.policy, namesOfStores(tx, store.databaseId));
  if (problems.length > 0) return `its policy does not fit its stores any more: ${problems.join(' ')}`;
  const { timezone, retention } = kept.policy;
  const said = Object.hasOwn(retention, store.name) ? retention[store.name] : undefined;
  const rules = said ?? usualRetention[store.type];
  const known = knownIn(tx, store);
  const retained = known.flatMap((each) => retainedOf(each, listing));
  // They take no place from others, and nobody's from them, until they have been known for long.
  const backdated = retained.filter((copy) => isBackdated(copy, now));
  const copies = retained.filter((copy) => !backdated.includes(copy));
  const input = { now, copies, rules, pins: pinsOf(tx, store.databaseId), least: 1, timezone };
  const plan = planRetention(input);
  const reasons = ['its date is from long before it became known'];
  const keep = [...plan.keep, ...backdated.map(({ backupId }) => ({ backupId, reasons }))];
  return { plan: { ...plan, keep }, input, known };
}

/** A host that has fallen could date what it likes, to have what is good counted out by it. */
function isBackdated({ at, knownSince = at }: RetainedCopy, now: number): boolean {
  return knownSince - at > backdatedMs && knownSince > now - settledMs;
}

function retainedOf({ copy, backup }: KnownCopy, listing: Listing | undefined): RetainedCopy[] {
  const state = worth[copy.state];
  if (state === undefined) return [];
  const sizeBytes = copy.sizeBytes ?? backup.bytes;
  const isThere = listing === undefined || isAsStored(copy, sizeBytes, listing);
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

/** Whole, with its manifest, and not written over since it was seen first. */
function isAsStored({ key, modifiedAt }: KnownCopy['copy'], sizeBytes: number, listing: Listing): boolean {
  const object = listing.get(key);
  const manifest = parseBackupName(key)?.names.manifest;
  if (object?.sizeBytes !== sizeBytes || manifest === undefined || !listing.has(manifest)) return false;
  return modifiedAt === null || object.modifiedAt === modifiedAt;
}

function turnoverOf(known: readonly KnownCopy[], since: number): Turnover {
  const isGood = ({ copy, backup }: KnownCopy) =>
    backup.state === 'succeeded' && (copy.state === 'stored' || copy.state === 'verified');
  const lately = known.filter((each) => each.backup.recordedAt > since && isGood(each));
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
