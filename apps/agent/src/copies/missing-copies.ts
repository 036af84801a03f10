import { parseBackupName, type BackupNames, type RetainedCopy } from '@strideiq/core';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import type { CopyOutcome, Run, SealedBackup } from '../journal/schema.ts';
import { StoreRetention } from '../retention/store-retention.ts';
import { inTime } from '../stores/in-time.ts';
import type { OpenedStore } from '../stores/opened-store.ts';

/** A copy that should stand in a store and does not, or is not whole there, and where one stands that is. */
export interface MissingCopy {
  database: DatabaseConfiguration;
  runId: string;
  backupId: string;
  names: BackupNames;
  /** The moment in its name, milliseconds since 1970. */
  at: number;
  sealed: SealedBackup;
  to: OpenedStore;
  /** Directories first. */
  from: readonly OpenedStore[];
}

/** Further back nothing is made up for: each is listed and judged. */
const mostBackups = 500;

/**
 * Copies that failed when their backup was made, or were found to be gone or corrupt since, of which another store has a good
 * one; oldest first. Only those that retention would keep.
 * @throws any StorageError of a store that cannot be asked
 */
export async function missingCopies(host: Host, database: DatabaseConfiguration): Promise<MissingCopy[]> {
  const { journal } = host;
  const made = journal.madeOf(host.databaseIdOf(database), mostBackups);
  if (made.length === 0) return [];
  const stores = await host.storesOf(database);
  const found = new Map(stores.map(({ store }) => [store.storeId, journal.foundIn(store.storeId)]));
  const isGood = ({ storeId, dumpKey, ...copy }: CopyOutcome) => {
    const state = found.get(storeId)?.get(dumpKey);
    return copy.state === 'stored' && state !== 'corrupt' && state !== 'missing';
  };
  const missing: MissingCopy[] = [];
  for (const to of stores) {
    const wanted = made.flatMap((run) => wantedOf(run, database, stores, to, isGood));
    if (wanted.length === 0) continue;
    const kept = await inTime(keptOf(host, to, wanted), to, database.dump.stallLimitMs);
    missing.push(...wanted.filter(({ names }) => kept.has(names.stem)));
  }
  return missing.toSorted((one, other) => one.at - other.at);
}

function wantedOf(
  { id: runId, detail }: Run,
  database: DatabaseConfiguration,
  stores: readonly OpenedStore[],
  to: OpenedStore,
  isGood: (copy: CopyOutcome) => boolean,
): MissingCopy[] {
  const { backupId, sealed, copies = [] } = detail;
  const outcomes = copies.filter((copy) => 'state' in copy);
  const own = outcomes.find(({ storeId }) => storeId === to.store.storeId);
  const parsed = sealed && parseBackupName(sealed.objectName);
  if (!own || isGood(own) || backupId === undefined || !parsed) return [];
  const good = new Set(outcomes.filter(isGood).map(({ storeId }) => storeId));
  const from = stores
    .filter(({ store }) => good.has(store.storeId))
    .toSorted((one, other) => one.kind.localeCompare(other.kind));
  const { names, at } = parsed;
  return from.length === 0 ? [] : [{ database, runId, backupId, names, at: at.getTime(), sealed, to, from }];
}

/** Which of them would stay in the store, were they there. */
async function keptOf(host: Host, to: OpenedStore, wanted: readonly MissingCopy[]): Promise<Set<string>> {
  const [first] = wanted;
  if (!first) return new Set();
  const retention = new StoreRetention(host, first.database, to);
  const stems = new Set(wanted.map(({ names }) => names.stem));
  const others = (await retention.copies()).filter(({ backupId }) => !stems.has(backupId));
  const asGood = wanted.map(({ names, at, sealed }): RetainedCopy => {
    const { bytes: sizeBytes, safety = false } = sealed;
    return { backupId: names.stem, at, state: 'good', safety, sizeBytes };
  });
  return new Set(retention.plan([...others, ...asGood]).keep.map(({ backupId }) => backupId));
}
