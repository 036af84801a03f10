import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import type { RunsUnderWay } from '../journal/left-runs.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { clearLeftovers, type Cleared } from './clear-leftovers.ts';

export interface DatabaseCleared {
  cleared: Cleared[];
  problems: string[];
}

/**
 * Clears what earlier runs of a database left.
 * @param underWay runs that this process is at, where it is the daemon
 * @param onFound called before anything is asked of stores and server
 * @returns undefined where nothing is to be cleared, which is found without asking anybody
 */
export async function clearDatabase(
  host: Host,
  database: DatabaseConfiguration,
  { underWay, onFound }: { underWay?: RunsUnderWay; onFound?: () => void } = {},
): Promise<DatabaseCleared | undefined> {
  const databaseId = host.databaseIdOf(database);
  const { left } = host.journal;
  const runs = [...left.abandoned([databaseId], underWay), ...left.uncleared([databaseId])];
  if (runs.length === 0) return undefined;
  onFound?.();
  const stores = async () => {
    const known = await host.storesOf(database);
    for (const { storeId, location } of runs.flatMap((run) => run.detail.copies ?? [])) {
      // Directories that the configuration no longer names: another `--backup-dir`, or a store taken out of the file.
      if (!location.startsWith('/') || known.some(({ store }) => store.storeId === storeId)) continue;
      const opened: OpenedStore = await host.openDirectory(location);
      if (opened.store.storeId === storeId) known.push(opened);
    }
    return known;
  };
  const maintenance = await host.maintenanceOf(database);
  const { hooks } = database;
  const others = Object.values(host.configuration.databases).filter((each) => each !== database);
  const otherServers = async () => Promise.all(others.map(async (each) => host.maintenanceOf(each)));
  const { stateDir } = host.configuration;
  const clearing = { databaseId, stores, maintenance, otherServers, hooks, stateDir, underWay };
  return clearLeftovers(host.journal, clearing, host.surroundings.now);
}
