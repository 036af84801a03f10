import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import type { RestoreDependencies, RestoreRequest } from '../restore/restore-request.ts';
import type { InPlaceRequest } from './run-in-place.ts';
import { runSafetyBackup } from './safety-backup.ts';

/** A restore in the place of a database of the host's file. */
export async function inPlaceRequest(
  host: Host,
  database: DatabaseConfiguration,
  request: RestoreRequest,
  { deps, safetyBackup, acceptExcluded }: { deps: RestoreDependencies; safetyBackup: boolean; acceptExcluded: boolean },
): Promise<InPlaceRequest> {
  return {
    ...request,
    live: await host.endpointOf(database),
    hooks: database.hooks,
    pgDump: database.dump.pgDump,
    hangLimitMs: database.dump.hangLimitMs,
    safetyBackup: safetyBackup ? async () => runSafetyBackup(host, database, deps, { whole: true }) : undefined,
    acceptExcluded,
    stateDir: host.configuration.stateDir,
  };
}
