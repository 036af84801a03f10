import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { clearLeftovers } from '../leftovers/clear-leftovers.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import type { Command } from './run-command.ts';

/** Before new work: what earlier runs of this database left is cleared, and said. */
export async function clearFirst({ host, output, progress }: Command, database: DatabaseConfiguration): Promise<void> {
  const databaseId = host.databaseIdOf(database);
  // Most starts find nothing, and need no connection to find that.
  const { journal } = host;
  if (journal.abandoned([databaseId]).length + journal.uncleared([databaseId]).length === 0) return;
  progress({ phase: 'clearing' });
  const { cleared, problems } = await clearLeftovers(journal, {
    databaseId,
    stores: await storesToClear(host, database),
    maintenance: await host.maintenanceOf(database),
  });
  for (const run of cleared) output.note(`Run ${run.runId} (${run.kind}) ${run.state}: ${run.text}`);
  for (const problem of problems) output.warn(problem);
}

/**
 * The database's stores, and the directories that killed runs used and that the configuration no longer names: another
 * `--backup-dir`, or a store that was taken out of the file.
 */
async function storesToClear(host: Host, database: DatabaseConfiguration): Promise<OpenedStore[]> {
  const stores = await host.storesOf(database);
  const databaseId = host.databaseIdOf(database);
  const runs = [...host.journal.abandoned([databaseId]), ...host.journal.uncleared([databaseId])];
  for (const { storeId, location } of runs.flatMap((run) => run.detail.copies ?? [])) {
    if (!location.startsWith('/') || stores.some(({ store }) => store.storeId === storeId)) continue;
    const opened = await host.openDirectory(location);
    if (opened.store.storeId === storeId) stores.push(opened);
  }
  return stores;
}
