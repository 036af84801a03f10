import { copyStates, driftOf, parseBackupName, type CopyState, type Drift, type ListedObject } from '@strideiq/core';
import { and, eq, notInArray } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { copies, drift, stores } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import type { Listing } from '../stores/listing.ts';

type CopyRow = typeof copies.$inferSelect;
export type DriftBy = 'agent' | 'controlPlane';

/** Those that should stand in their store. */
const standing: readonly CopyState[] = ['stored', 'verified', 'locked'];

/** Drift of one store that is kept: whoever has so much has one trouble and not a thousand. */
export const mostDrift = 500;

/** What is known of a store's copies; to be read before the store is listed, so that none is missed that came meanwhile. */
export function copiesBefore(tx: CatalogReader, storeId: string): CopyRow[] {
  return tx.select().from(copies).where(eq(copies.storeId, storeId)).all();
}

/**
 * Compares a bucket with the catalog: what is gone or has another size is marked so, what is back is stored again, and all
 * that differs is written down.
 * @returns what differs
 */
export function recordDrift(
  tx: CatalogTransaction,
  { storeId, before, listing, now }: { storeId: string; before: readonly CopyRow[]; listing: Listing; now: number },
): Drift[] {
  const unchanged = before.filter((row) => isAsBefore(tx, row));
  const back = unchanged.filter((row) => row.state === 'missing' && isWhole(row, listing));
  for (const row of back) setState(tx, row, 'stored', null, now);
  const expected = unchanged.filter(({ state }) => standing.includes(state));
  const found = driftOf({
    now,
    objects: [...listing.values()],
    expected,
    known: new Set(copiesBefore(tx, storeId).flatMap(({ key, state }) => (state === 'deleted' ? [] : [key]))),
  });
  const byKey = new Map(expected.map((row) => [row.key, row]));
  for (const { kind, key, text } of found) {
    const row = byKey.get(key);
    if (row && kind === 'missing') setState(tx, row, 'missing', { code: 'CopyMissing', text }, now);
    if (row && kind === 'resized') setState(tx, row, 'corrupt', { code: 'CopyCorrupt', text }, now);
  }
  for (const row of expected) rememberDate(tx, row, listing.get(row.key));
  writeDrift(tx, { storeId, by: 'controlPlane', found, now });
  return found;
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
  tx.update(stores).set({ lookedAt: now }).where(eq(stores.id, storeId)).run();
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
  return listing.get(key)?.sizeBytes === sizeBytes && manifest !== undefined && listing.has(manifest);
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

/** The first date that is seen of an object is the one that it keeps. */
function rememberDate(
  tx: CatalogTransaction,
  { backupId, storeId, modifiedAt }: CopyRow,
  object: ListedObject | undefined,
): void {
  if (modifiedAt !== null || !object) return;
  const ofCopy = and(eq(copies.backupId, backupId), eq(copies.storeId, storeId), notInArray(copies.state, ['deleted']));
  tx.update(copies).set({ modifiedAt: object.modifiedAt }).where(ofCopy).run();
}
