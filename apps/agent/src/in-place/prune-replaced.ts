import { codeOf, newId, paragraphOf } from '@strideiq/core';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import type { Connection } from '../postgres/connect.ts';
import { onMaintenance } from '../restore/maintenance-session.ts';
import { inPlaceRuns } from './in-place-runs.ts';
import { keptDatabases, pruneKept, type KeptDatabase } from './kept-databases.ts';
import { aloneAtNames } from './swap-lock.ts';

/**
 * Drops replaced databases that are too old or too many, after work that has succeeded whatever becomes of them.
 * @returns what there is to say of it
 */
export async function pruneReplaced(host: Host, database: DatabaseConfiguration): Promise<string[]> {
  if (inPlaceRuns(host.journal, host.databaseIdOf(database)).length === 0) return [];
  const now = host.surroundings.now();
  try {
    const { dropped, problems } = await aloneAtNames(namesOfHost(host, database), async () =>
      withKept(host, database, async (connection, kept) => pruneKept(connection, kept, database.keepReplaced, now)),
    );
    return [...dropped.map((name) => `${name} was dropped: it was kept for long enough.`), ...problems];
  } catch (error) {
    // The next backup does it.
    if (codeOf(error) === 'RestoreAlreadyRunning') return [];
    return [`Replaced databases that were kept for long enough could not be dropped: ${paragraphOf(error)}`];
  }
}

/** For `aloneAtNames`. */
export function namesOfHost(host: Host, database: DatabaseConfiguration) {
  const { stateDir } = host.configuration;
  return { stateDir, databaseId: host.databaseIdOf(database), database: database.name };
}

/** Work on a server with the databases that restores in place have left there. */
export async function withKept<T>(
  host: Host,
  database: DatabaseConfiguration,
  work: (connection: Connection, kept: readonly KeptDatabase[]) => Promise<T>,
): Promise<T> {
  const maintenance = await host.maintenanceOf(database);
  return onMaintenance(maintenance, newId(host.surroundings.now()), async (connection) =>
    work(connection, await keptDatabases(host.journal, host.databaseIdOf(database), connection)),
  );
}
