import {
  codeOf,
  copyStates,
  fixedNames,
  mostPrefixOwnerBytes,
  paragraphOf,
  parseBackupName,
  parsePrefixOwner,
  type CopyState,
} from '@strideiq/core';
import { readAll, type Store } from '@strideiq/storage';
import { and, eq, inArray, or } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import type { Catalog, CatalogTransaction } from '../catalog/open-catalog.ts';
import { backups, copies, databases, runs } from '../catalog/schema.ts';
import type { StoreRow } from '../copies/own-stores.ts';
import { openRunStates } from '../runs/open-states.ts';
import type { PlannedStore } from './plan-store.ts';

/** What became of what was to go. */
export interface RemovedCopies {
  removed: string[];
  /** Kept by Object Lock, for now. */
  locked: string[];
  problems: string[];
}

/** One that Object Lock keeps is asked for again after this long. */
const lockedForMs = 24 * 3_600_000;
/** Whatever keeps one from going mostly keeps all. */
const mostProblems = 5;

/**
 * Removes from a bucket what a plan says, and what an earlier removal has left. Each step may be repeated: a copy is
 * `deleting` before its first object goes, and `deleted` when its last has gone.
 * @param actor who is to be named in the audit
 */
export async function removeCopies(
  { catalog, now }: { catalog: Catalog; now: () => number },
  { store: row, plan }: PlannedStore,
  store: Store,
  actor: string,
): Promise<RemovedCopies> {
  const done: RemovedCopies = { removed: [], locked: [], problems: [] };
  const reasons = new Map(plan.remove.map(({ backupId, reason }) => [backupId, reason]));
  for (const { backupId } of leftOver(catalog, row.id, now())) {
    if (!reasons.has(backupId)) reasons.set(backupId, 'an earlier removal had not come to its end');
  }
  if (reasons.size === 0) return done;
  if (!(await isOwned(store, row.databaseId))) {
    done.problems.push(`${row.location} is not known to be this database's: no ${fixedNames.owner} there says so`);
    return done;
  }
  for (const [backupId, reason] of reasons) {
    if (isInUse(catalog, backupId)) continue;
    try {
      const outcome = await removeCopy({ catalog, now }, row, store, { backupId, reason, actor });
      if (outcome) done[outcome].push(backupId);
    } catch (error) {
      done.problems.push(`${backupId}: ${paragraphOf(error)}`);
      if (done.problems.length === mostProblems) break;
    }
  }
  return done;
}

async function removeCopy(
  { catalog, now }: { catalog: Catalog; now: () => number },
  { id: storeId, databaseId }: StoreRow,
  store: Store,
  { backupId, reason, actor }: { backupId: string; reason: string; actor: string },
): Promise<'removed' | 'locked' | undefined> {
  const ofCopy = and(eq(copies.backupId, backupId), eq(copies.storeId, storeId));
  const move = (tx: CatalogTransaction, to: CopyState, more: { errorCode?: string; error?: string } = {}) => {
    const from = tx.select({ state: copies.state }).from(copies).where(ofCopy).get()?.state;
    if (from === undefined || from === to) return;
    const state = copyStates.move(from, to);
    tx.update(copies)
      .set({ state, changedAt: now(), errorCode: more.errorCode ?? null, error: more.error ?? null })
      .where(ofCopy)
      .run();
  };
  const copy = catalog.select().from(copies).where(ofCopy).get();
  const database = catalog.select().from(databases).where(eq(databases.id, databaseId)).get();
  const parsed = copy && parseBackupName(copy.key);
  if (!copy || !database) return undefined;
  // Nothing else of a bucket is removed by the control plane's own rights, whatever an agent says is there.
  if (parsed?.kind !== 'dump' || parsed.database !== database.name) {
    throw new Error(`${copy.key} is no name of a backup of ${database.name}, and is left alone`);
  }
  const { names } = parsed;
  catalog.transaction((tx) => move(tx, 'deleting'), { behavior: 'immediate' });
  try {
    for (const key of [names.dump, names.privileges, names.manifest]) await store.delete(key);
  } catch (error) {
    if (codeOf(error) !== 'ObjectLocked') throw error;
    const why = { errorCode: 'ObjectLocked', error: paragraphOf(error) };
    catalog.transaction((tx) => move(tx, 'locked', why), { behavior: 'immediate' });
    return 'locked';
  }
  catalog.transaction(
    (tx) => {
      move(tx, 'deleted');
      const detail = { databaseId, storeId, backupId, key: names.dump, reason };
      const { environment } = database;
      recordAudit(tx, { actor, action: 'copy.delete', environment, subject: databaseId, detail }, now());
    },
    { behavior: 'immediate' },
  );
  return 'removed';
}

function leftOver(catalog: Catalog, storeId: string, now: number): { backupId: string }[] {
  return catalog
    .select({ backupId: copies.backupId, state: copies.state, changedAt: copies.changedAt })
    .from(copies)
    .where(and(eq(copies.storeId, storeId), inArray(copies.state, ['deleting', 'locked'])))
    .all()
    .filter(({ state, changedAt }) => state === 'deleting' || changedAt <= now - lockedForMs);
}

/** What somebody is about to read, or reads just now, goes the next time. */
function isInUse(catalog: Catalog, backupId: string): boolean {
  const open = catalog
    .select({ kind: runs.kind, backupId: runs.backupId, request: runs.request })
    .from(runs)
    .innerJoin(backups, eq(backups.id, backupId))
    .where(
      and(
        inArray(runs.state, [...openRunStates]),
        or(eq(runs.kind, 'restore'), eq(runs.kind, 'drill'), eq(runs.kind, 'verify')),
      ),
    )
    .all();
  return open.some((run) => run.backupId === backupId || run.request?.['backupId'] === backupId);
}

/** An agent says where a bucket is; that it is its database's is for the bucket to say. */
async function isOwned(store: Store, databaseId: string): Promise<boolean> {
  if (!(await store.head(fixedNames.owner))) return false;
  const owner = parsePrefixOwner(await readAll(await store.get(fixedNames.owner), mostPrefixOwnerBytes));
  return owner?.databaseId === databaseId;
}
