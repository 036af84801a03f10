import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import {
  codeOf,
  copyStates,
  fixedNames,
  mostPrefixOwnerBytes,
  paragraphOf,
  parseBackupName,
  parsePrefixOwner,
  type BackupNames,
} from '@strideiq/core';
import { readAll, type Store } from '@strideiq/storage';
import { and, eq, inArray, ne, notInArray } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import type { Catalog, CatalogTransaction } from '../catalog/open-catalog.ts';
import { backups, copies, databases, runs } from '../catalog/schema.ts';
import type { StoreRow } from '../copies/own-stores.ts';
import { openRunStates } from '../runs/open-states.ts';
import type { Listing } from '../stores/listing.ts';
import { planStore } from './plan-store.ts';

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
/** Whatever keeps one from going mostly keeps all. */
const mostProblems = 5;
/** Far more than a manifest has. */
const mostManifestBytes = 1 << 29;

/**
 * Removes from a bucket what its plan says. Each step may be repeated: a copy is `deleting` before its first object goes,
 * and `deleted` when its last has gone. The plan is made anew before each: a pin, a finding or a policy may have come meanwhile.
 */
export async function removeCopies(parts: Parts, removal: Removal): Promise<RemovedCopies> {
  const { store: row, opened, listing, only, signal } = removal;
  const done: RemovedCopies = { removed: [], locked: [], problems: [] };
  const planned = () => {
    const { plan } = planStore(parts.catalog, row, parts.now(), listing);
    return new Map(plan.remove.map(({ backupId, reason }) => [backupId, reason]));
  };
  takeBack(parts, row, listing, planned());
  const ids = [...planned().keys()].filter((backupId) => only?.includes(backupId) ?? true);
  if (ids.length > 0 && !(await isOwned(opened, row.databaseId))) {
    done.problems.push(`${row.location} is not known to be this database's: no ${fixedNames.owner} there says so`);
    return done;
  }
  for (const backupId of ids) {
    signal.throwIfAborted();
    const reason = planned().get(backupId);
    if (reason === undefined || isInUse(parts.catalog, row.databaseId, backupId)) continue;
    try {
      const outcome = await removeCopy(parts, removal, { backupId, reason });
      if (outcome) done[outcome].push(backupId);
    } catch (error) {
      signal.throwIfAborted();
      done.problems.push(`${backupId}: ${paragraphOf(error)}`);
      if (done.problems.length === mostProblems) break;
    }
    // Others have their turn: planning is work for this thread.
    await setImmediate();
  }
  return done;
}

/** A removal that had not reached its first object, and that is not planned any more, is none. */
function takeBack(
  { catalog, now }: Parts,
  { id }: StoreRow,
  listing: Listing,
  remove: ReadonlyMap<string, string>,
): void {
  const begun = catalog
    .select()
    .from(copies)
    .where(and(eq(copies.storeId, id), eq(copies.state, 'deleting')))
    .all();
  for (const { backupId, key, sizeBytes, state } of begun) {
    if (remove.has(backupId) || listing.get(key)?.sizeBytes !== sizeBytes) continue;
    catalog
      .update(copies)
      .set({
        state: copyStates.move(state, 'stored'),
        changedAt: now(),
        hostSince: now(),
        errorCode: null,
        error: null,
      })
      .where(and(eq(copies.backupId, backupId), eq(copies.storeId, id)))
      .run();
  }
}

async function removeCopy(
  { catalog, now }: Parts,
  { store: { id: storeId, databaseId }, opened, listing, actor }: Removal,
  { backupId, reason }: { backupId: string; reason: string },
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
  const commit = (work: (tx: CatalogTransaction) => void) => catalog.transaction(work, { behavior: 'immediate' });
  commit((tx) => move(tx, 'deleting', reason));
  try {
    // The manifest last: what is left of a removal that was cut short is known by it.
    for (const key of [names.dump, names.privileges, names.globals, names.manifest]) await opened.delete(key);
  } catch (error) {
    if (codeOf(error) !== 'ObjectLocked') throw error;
    commit((tx) => move(tx, 'locked', paragraphOf(error)));
    return 'locked';
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
    throw new Error(`${key} is no name of a backup of ${database}, and is left alone`);
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
  if (shared) throw new Error(`${key} is said to be the copy of ${shared.backupId} too, and is left alone`);
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
    throw new Error(`${names.dump} is there without its manifest, and is left alone`);
  }
  const json = await readAll(await store.get(names.manifest), mostManifestBytes);
  if (createHash('sha256').update(json).digest('hex') === sha256) return;
  throw new Error(`${names.manifest} is not the one that was recorded with this backup, and is left alone`);
}

/** What somebody is about to read, or reads just now, goes the next time; so does everything while nobody knows what is read. */
function isInUse(catalog: Catalog, databaseId: string, backupId: string): boolean {
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

/** An agent says where a bucket is; that it is its database's is for the bucket to say. */
async function isOwned(store: Store, databaseId: string): Promise<boolean> {
  if (!(await store.head(fixedNames.owner))) return false;
  const owner = parsePrefixOwner(await readAll(await store.get(fixedNames.owner), mostPrefixOwnerBytes));
  return owner?.databaseId === databaseId;
}
