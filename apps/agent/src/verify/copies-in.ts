import { manifestKeyOf } from '../backups/find-backups.ts';
import { sourceOf, type BackupSource } from '../backups/resolve-reference.ts';
import type { Journal } from '../journal/journal.ts';
import { inTime } from '../stores/in-time.ts';
import type { OpenedStore } from '../stores/opened-store.ts';

/** The backup whose copies are looked for. */
export interface Wanted {
  dumpKey: string;
  backupId: string;
  databaseId: string;
  /** Whether it was said where a copy should be. */
  named: boolean;
}

/** As `runVerify` takes them. */
export interface Copies {
  sources: BackupSource[];
  missingIn: { opened: OpenedStore; dumpKey: string }[];
  unreachable: { opened: OpenedStore; error: unknown }[];
}

/** What each store holds of the backup; one that cannot be asked holds up none of the others. */
export async function copiesIn(
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
  return journal.copies.of(backupId).some((copy) => copy.storeId === store.storeId && copy.state === 'stored');
}
