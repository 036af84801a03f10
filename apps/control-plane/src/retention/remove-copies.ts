import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { codeOf, copyStates, paragraphOf, parseBackupName, type BackupNames } from '@strideiq/core';
import { readAll, type Store } from '@strideiq/storage';
import { and, eq, inArray, ne, notInArray } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import type { Catalog, CatalogTransaction } from '../catalog/open-catalog.ts';
import { backups, copies, databases, runs } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import type { StoreRow } from '../copies/own-stores.ts';
import { openRunStates } from '../runs/open-states.ts';
import type { Listing } from '../stores/listing.ts';
import { removalsIn } from './plan-store.ts';

/** What became of what was to go. */
export interface RemovedCopies {
  /** Ids of backups. */
  removed: string[];
  /** Kept by Object Lock, for now. */
  locked: string[];
  problems: string[];
}

export interface Removal {
  store: StoreRow;
  opened: Store;
  listing: Listing;
  /** Only those, where somebody has looked at exactly them. */
  only?: readonly string[] | undefined;
  /** Who is to be named in the audit: `retention`, or an API key's id. */
  actor: string;
  signal: AbortSignal;
}

interface Parts {
  catalog: Catalog;
  now: () => number;
}

/** One that Object Lock keeps is asked for again after this long. */
const lockedForMs = 24 * 3_600_000;
/** Whatever keeps the store from removing one mostly keeps all. */
const mostFailures = 5;
/** Far more than a manifest has. */
const mostManifestBytes = 1 << 29;

/**
 * Removes from a bucket what its plan says. Each step may be repeated: a copy is `deleting` before its first object goes,
 * and `deleted` when its last has gone. The plan is made anew before each, since others are at work meanwhile.
 */
export async function removeCopies(parts: Parts, removal: Removal): Promise<RemovedCopies> {
  const { store: row, listing, only, signal } = removal;
  const done: RemovedCopies = { removed: [], locked: [], problems: [] };
  const planned = () => removalsIn(parts.catalog, row, parts.now(), listing);
  const all = planned();
  takeBack(parts, row, listing, all);
  const ids = [...all.keys()].filter((backupId) => only?.includes(backupId) ?? true);
  let failures = 0;
  for (const backupId of ids) {
    if (signal.aborted) {
      done.problems.push(`it was ended before all was done: ${paragraphOf(signal.reason)}`);
      break;
    }
    try {
      const outcome = await removeCopy(parts, removal, backupId, () => planned().get(backupId));
      if (outcome) done[outcome].push(backupId);
    } catch (error) {
      done.problems.push(`${backupId}: ${paragraphOf(error)}`);
      if (!(error instanceof LeftAlone) && ++failures === mostFailures) break;
    }
    // Others have their turn: planning is work for this thread.
    await setImmediate();
  }
  return done;
}

/** One that is not what it should be, and concerns no other. */
class LeftAlone extends Error {}

/** A removal that was cut short, and that is not planned any more, is none: its dump is still there, or is missing. */
function takeBack(
  { catalog, now }: Parts,
  { id }: StoreRow,
  listing: Listing,
  remove: ReadonlyMap<string, string>,
): void {
  const ofStore = eq(copies.storeId, id);
  const begun = catalog
    .select()
    .from(copies)
    .where(and(ofStore, eq(copies.state, 'deleting')))
    .all();
  for (const { backupId, key, state } of begun) {
    if (remove.has(backupId)) continue;
    const to = copyStates.move(state, listing.has(key) ? 'stored' : 'missing');
    catalog
      .update(copies)
      .set({
        state: to,
        changedAt: now(),
        hostSince: now(),
        errorCode: to === 'missing' ? 'CopyMissing' : null,
        error: null,
      })
      .where(and(ofStore, eq(copies.backupId, backupId)))
      .run();
  }
}

/** @param reasonNow why it is to go, by the catalog as it is at that moment; undefined: it is not to */
async function removeCopy(
  { catalog, now }: Parts,
  { store: { id: storeId, databaseId }, opened, listing, actor }: Removal,
  backupId: string,
  reasonNow: () => string | undefined,
): Promise<'removed' | 'locked' | undefined> {
  const ofCopy = and(eq(copies.backupId, backupId), eq(copies.storeId, storeId));
  const found = catalog
    .select({ copy: copies, backup: backups, database: databases })
    .from(copies)
    .innerJoin(backups, eq(backups.id, copies.backupId))
    .innerJoin(databases, eq(databases.id, backups.databaseId))
    .where(ofCopy)
    .get();
  if (!found || found.database.id !== databaseId) return undefined;
  const { copy, backup, database } = found;
  if (copy.state === 'locked' && copy.changedAt > now() - lockedForMs) return 'locked';
  const names = ownNames(catalog, copy, database.name);
  await checkManifest(opened, names, backup.manifestSha256, listing);
  const move = (tx: CatalogTransaction, to: 'deleting' | 'deleted' | 'locked', error: string | null) => {
    const from = tx.select({ state: copies.state }).from(copies).where(ofCopy).get()?.state;
    if (from === undefined || from === to) return;
    const errorCode = to === 'locked' ? 'ObjectLocked' : null;
    tx.update(copies)
      .set({ state: copyStates.move(from, to), changedAt: now(), hostSince: now(), errorCode, error })
      .where(ofCopy)
      .run();
  };
  const commit = <T>(work: (tx: CatalogTransaction) => T) => catalog.transaction(work, { behavior: 'immediate' });
  // In the transaction that begins it: a pin, a reader, a finding or a policy may have come up to this moment.
  const reason = commit((tx) => {
    const reason = isInUse(tx, databaseId, backupId) ? undefined : reasonNow();
    if (reason !== undefined) move(tx, 'deleting', reason);
    return reason;
  });
  if (reason === undefined) return undefined;
  for (const key of [names.dump, names.privileges, names.globals, names.manifest]) {
    try {
      await opened.delete(key);
    } catch (error) {
      if (codeOf(error) !== 'ObjectLocked') throw error;
      // Without its dump it is on its way out, however long the rest is kept.
      if (key === names.dump) commit((tx) => move(tx, 'locked', paragraphOf(error)));
      return 'locked';
    }
  }
  commit((tx) => {
    move(tx, 'deleted', null);
    const detail = { databaseId, storeId, backupId, key: names.dump, reason };
    const { environment } = database;
    recordAudit(tx, { actor, action: 'copy.delete', environment, subject: databaseId, detail }, now());
  });
  return 'removed';
}

/**
 * Nothing else of a bucket is removed by the control plane's own rights, whatever an agent says is there.
 * @throws Error where the key is none of the database's backups', or another copy's too
 */
function ownNames(
  catalog: Catalog,
  { backupId, storeId, key }: typeof copies.$inferSelect,
  database: string,
): BackupNames {
  const parsed = parseBackupName(key);
  if (parsed?.kind !== 'dump' || parsed.database !== database) {
    throw new LeftAlone(`${key} is no name of a backup of ${database}, and is left alone`);
  }
  const shared = catalog
    .select({ backupId: copies.backupId })
    .from(copies)
    .where(
      and(
        eq(copies.storeId, storeId),
        eq(copies.key, key),
        ne(copies.backupId, backupId),
        notInArray(copies.state, ['deleted', 'failed']),
      ),
    )
    .get();
  if (shared) throw new LeftAlone(`${key} is said to be the copy of ${shared.backupId} too, and is left alone`);
  return parsed.names;
}

/**
 * What stands there must be what is to go: the manifest that the catalog knows. Where dump and manifest are both gone there
 * is nothing left to be mistaken about.
 * @throws Error where it is another one, or is gone while the dump is not
 */
async function checkManifest(store: Store, names: BackupNames, sha256: string, listing: Listing): Promise<void> {
  if (!listing.has(names.manifest)) {
    if (!listing.has(names.dump)) return;
    throw new LeftAlone(`${names.dump} is there without its manifest, and is left alone`);
  }
  const json = await readAll(await store.get(names.manifest), mostManifestBytes);
  if (createHash('sha256').update(json).digest('hex') === sha256) return;
  throw new LeftAlone(`${names.manifest} is not the one that was recorded with this backup, and is left alone`);
}

/** What somebody is about to read, or reads just now, goes the next time; so does everything while nobody knows what is read. */
function isInUse(catalog: CatalogReader, databaseId: string, backupId: string): boolean {
  return catalog
    .select({ databaseId: runs.databaseId, backupId: runs.backupId, request: runs.request })
    .from(runs)
    .where(and(inArray(runs.state, [...openRunStates]), ne(runs.kind, 'backup')))
    .all()
    .some((run) => {
      const read = run.backupId ?? run.request?.['backupId'] ?? null;
      return read === null ? run.databaseId === databaseId : read === backupId;
    });
}
