import { parseBackupName, planRetention, type Pin, type RetainedCopy } from '@strideiq/core';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import type { Run } from '../journal/schema.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { mostBackups } from './most-backups.ts';
import { StoreRetention } from './store-retention.ts';

/**
 * Copies of a store from which another store is still to get its own: while that one is away they may be all that there is,
 * and stay for as long as it would keep them. What the journal knows is enough to say so, since it cannot be asked.
 */
export function awaitedCopies(
  host: Host,
  database: DatabaseConfiguration,
  stores: readonly OpenedStore[],
  { store: { storeId: ownId } }: OpenedStore,
): Pin[] {
  const { journal } = host;
  const made = journal.madeOf(host.databaseIdOf(database), mostBackups);
  const found = new Map(stores.map(({ store }) => [store.storeId, journal.copies.foundIn(store.storeId)]));
  const isGood = ({ detail }: Run, storeId: string): boolean | undefined => {
    const copy = detail.copies?.find((each) => each.storeId === storeId);
    if (copy === undefined || !('state' in copy) || copy.removedAt !== undefined) return undefined;
    const finding = found.get(storeId)?.get(copy.dumpKey);
    return copy.state === 'stored' && finding !== 'corrupt' && finding !== 'missing';
  };
  return stores.flatMap((to): Pin[] => {
    const { storeId } = to.store;
    if (storeId === ownId) return [];
    const lacking = made.filter((run) => isGood(run, ownId) === true && isGood(run, storeId) === false);
    if (lacking.length === 0) return [];
    const wanted = new Set(lacking.map(stemOf));
    const { keep } = planRetention(new StoreRetention(host, database, to).inputOf(made.flatMap(asGood)));
    return keep
      .filter(({ backupId }) => wanted.has(backupId))
      .map(({ backupId }) => ({
        backupId,
        reason: `${to.name} does not have it yet, and gets it from here`,
        until: null,
      }));
  });
}

/** Names of backups, without an end, of which another store got its copy later: they stayed for that, and go then however many. */
export function noLongerAwaited(
  host: Host,
  database: DatabaseConfiguration,
  { store: { storeId } }: OpenedStore,
): ReadonlySet<string | undefined> {
  const made = host.journal.madeOf(host.databaseIdOf(database), mostBackups);
  const gotLater = ({ detail: { copies = [] } }: Run) =>
    copies.some((copy) => copy.storeId !== storeId && 'state' in copy && copy.madeAt !== undefined);
  return new Set(made.filter(gotLater).map(stemOf));
}

function stemOf({ detail: { sealed } }: Run): string | undefined {
  return sealed && parseBackupName(sealed.objectName)?.names.stem;
}

function asGood({ detail: { sealed } }: Run): RetainedCopy[] {
  const parsed = sealed && parseBackupName(sealed.objectName);
  if (!parsed) return [];
  const { bytes: sizeBytes, safety = false } = sealed;
  return [{ backupId: parsed.names.stem, at: parsed.at.getTime(), state: 'good', safety, sizeBytes }];
}
