import { within } from '../backup/within.ts';
import { manifestKeyOf } from '../backups/find-backups.ts';
import { sourceOf, type BackupSource } from '../backups/resolve-reference.ts';
import type { Journal } from '../journal/journal.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { runVerify, type VerifyRequest } from '../verify/run-verify.ts';
import { inTime } from '../stores/in-time.ts';
import { storeNamesOf } from './store-names.ts';
import type { Work } from './work.ts';

/** `verify`: reads the copies of one backup back, in the stores that are named or in all of the database's. */
export async function doVerify({ command, database, host, progress, signal }: Work<'verify'>): Promise<void> {
  const { runId, commandId, databaseId, body } = command;
  const { backupId, key: dumpKey, storeIds } = body;
  const names = storeNamesOf(host.configuration, database, storeIds);
  const stores = await host.storesOf(database, names);
  const { journal, key, surroundings, configuration } = host;
  const wanted = { dumpKey, backupId, databaseId, named: storeIds !== undefined };
  const copies = await within(copiesIn(stores, wanted, journal, database.dump.stallLimitMs), { signal });
  const request: VerifyRequest = {
    environment: configuration.environment,
    database: database.name,
    databaseId,
    reference: dumpKey,
    backupId,
    ...copies,
    asked: { runId, commandId },
  };
  await runVerify(request, { journal, key, now: surroundings.now, progress, signal });
}

interface Wanted {
  dumpKey: string;
  backupId: string;
  databaseId: string;
  /** Whether it was said where a copy should be. */
  named: boolean;
}

interface Copies {
  sources: BackupSource[];
  missingIn: { opened: OpenedStore; dumpKey: string }[];
  unreachable: { opened: OpenedStore; error: unknown }[];
}

/** What each store holds of the backup; one that cannot be asked holds up none of the others. */
async function copiesIn(
  stores: readonly OpenedStore[],
  { dumpKey, backupId, databaseId, named }: Wanted,
  journal: Journal,
  stallLimitMs: number,
): Promise<Copies> {
  const copies: Copies = { sources: [], missingIn: [], unreachable: [] };
  const look = async (opened: OpenedStore) => {
    if (await opened.store.head(dumpKey)) return sourceOf(opened, dumpKey);
    const should = named || (await opened.store.head(manifestKeyOf(dumpKey))) || wasStored(journal, backupId, opened);
    return should ? ('missing' as const) : undefined;
  };
  await Promise.all(
    stores.map(async (opened) => {
      try {
        const found = await inTime(look(opened), opened, stallLimitMs);
        if (found === 'missing') copies.missingIn.push({ opened, dumpKey });
        else if (found) copies.sources.push({ ...found, databaseId });
      } catch (error) {
        copies.unreachable.push({ opened, error });
      }
    }),
  );
  return copies;
}

function wasStored(journal: Journal, backupId: string, { store }: OpenedStore): boolean {
  return journal.copiesOf(backupId).some((copy) => copy.storeId === store.storeId && copy.state === 'stored');
}
