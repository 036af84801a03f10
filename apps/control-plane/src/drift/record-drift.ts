import { copyStates, driftOf, parseBackupName, type CopyState, type Drift } from '@strideiq/core';
import { and, eq } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { copies, drift, stores } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import type { Listing } from '../stores/listing.ts';

type CopyRow = typeof copies.$inferSelect;
type DriftBy = 'agent' | 'controlPlane';

/** Those that should stand in their store. */
const standing: readonly CopyState[] = ['stored', 'verified', 'locked'];

/** Drift of one store that is kept: whoever has so much has one trouble and not a thousand. */
const mostDrift = 500;

/** What is known of a store's copies; to be read before the store is listed, so that none is missed that came meanwhile. */
export function copiesBefore(tx: CatalogReader, storeId: string): CopyRow[] {
  return tx.select().from(copies).where(eq(copies.storeId, storeId)).all();
}

interface Seen {
  storeId: string;
  /** As {@link copiesBefore} has read them. */
  before: readonly CopyRow[];
  listing: Listing;
  now: number;
}

export function isStanding({ state }: CopyRow): boolean {
  return standing.includes(state);
}

/** How a bucket differs from the catalog. It takes a while where much is there, and no transaction. */
export function driftIn({ before, listing, now }: Seen): Drift[] {
  const known = before.flatMap(({ key, state }) => (state === 'deleted' ? [] : [key]));
  return driftOf({
    now,
    objects: [...listing.values()],
    expected: before.filter(isStanding),
    known: new Set(known),
  });
}

/** Marks what is gone or has another size, and what is back, and writes down all that differs. */
export function recordDrift(
  tx: CatalogTransaction,
  { storeId, before, listing, now, found }: Seen & { found: readonly Drift[] },
): void {
  const unchanged = before.filter((row) => isAsBefore(tx, row));
  for (const row of unchanged.filter((each) => each.state === 'missing' && isWhole(each, listing))) {
    // What was read back once, and is not another object since, still counts for that.
    const isSame = row.verifiedAt !== null && listing.get(row.key)?.modifiedAt === row.modifiedAt;
    setState(tx, row, isSame ? 'verified' : 'stored', null, now);
    if (!isSame) setDate(tx, row, null);
  }
  const expected = unchanged.filter(isStanding);
  const byKey = new Map(expected.map((row) => [row.key, row]));
  for (const { kind, key, text } of found) {
    const row = byKey.get(key);
    if (row && kind === 'missing') setState(tx, row, 'missing', { code: 'CopyMissing', text }, now);
    if (row && kind === 'resized') setState(tx, row, 'corrupt', { code: 'CopyCorrupt', text }, now);
  }
  // The first date that is seen of an object is the one that it keeps.
  for (const row of expected) if (row.modifiedAt === null) setDate(tx, row, listing.get(row.key)?.modifiedAt ?? null);
  writeDrift(tx, { storeId, by: 'controlPlane', found, now });
}

/** Takes the place of what was written down of the store by the same looker. */
export function writeDrift(
  tx: CatalogTransaction,
  { storeId, by, found, now }: { storeId: string; by: DriftBy; found: readonly Drift[]; now: number },
): void {
  const own = and(eq(drift.storeId, storeId), eq(drift.by, by));
  const since = new Map(
    tx
      .select()
      .from(drift)
      .where(own)
      .all()
      .map(({ kind, key, firstSeenAt }) => [`${kind} ${key}`, firstSeenAt]),
  );
  tx.delete(drift).where(own).run();
  for (const { kind, key, text } of found.slice(0, mostDrift)) {
    const firstSeenAt = since.get(`${kind} ${key}`) ?? now;
    tx.insert(drift).values({ storeId, by, kind, key, text, firstSeenAt }).onConflictDoNothing().run();
  }
  // Of a bucket an agent's look says nothing of ours.
  const looked = by === 'agent' ? and(eq(stores.id, storeId), eq(stores.type, 'directory')) : eq(stores.id, storeId);
  tx.update(stores).set({ lookedAt: now }).where(looked).run();
}

function isAsBefore(tx: CatalogReader, { backupId, storeId, state, key, changedAt }: CopyRow): boolean {
  const same = and(
    eq(copies.backupId, backupId),
    eq(copies.storeId, storeId),
    eq(copies.state, state),
    eq(copies.key, key),
    eq(copies.changedAt, changedAt),
  );
  return tx.select({ key: copies.key }).from(copies).where(same).get() !== undefined;
}

function isWhole({ key, sizeBytes }: CopyRow, listing: Listing): boolean {
  const manifest = parseBackupName(key)?.names.manifest;
  const object = listing.get(key);
  if (!object || manifest === undefined || !listing.has(manifest)) return false;
  return sizeBytes === null || object.sizeBytes === sizeBytes;
}

function setState(
  tx: CatalogTransaction,
  { backupId, storeId, state }: CopyRow,
  to: CopyState,
  error: { code: string; text: string } | null,
  now: number,
): void {
  const ofCopy = and(eq(copies.backupId, backupId), eq(copies.storeId, storeId));
  const set = {
    state: copyStates.move(state, to),
    changedAt: now,
    hostSince: now,
    errorCode: error?.code ?? null,
    error: error?.text ?? null,
  };
  tx.update(copies).set(set).where(ofCopy).run();
}

function setDate(tx: CatalogTransaction, { backupId, storeId }: CopyRow, modifiedAt: number | null): void {
  const ofCopy = and(eq(copies.backupId, backupId), eq(copies.storeId, storeId));
  tx.update(copies).set({ modifiedAt }).where(ofCopy).run();
}
