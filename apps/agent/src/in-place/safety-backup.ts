import type { BackupDependencies, BackupOutcome } from '../backup/backup-request.ts';
import { runBackup } from '../backup/run-backup.ts';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';

/** Backs up a database that is about to be changed. @param whole also what the host's file says to leave out */
export async function runSafetyBackup(
  host: Host,
  database: DatabaseConfiguration,
  deps: BackupDependencies,
  { whole }: { whole: boolean },
): Promise<BackupOutcome> {
  const request = await host.backupRequest(database);
  const all = whole ? { excludeTables: [], excludeTableData: [] } : {};
  return runBackup({ ...request, ...all, safety: true }, deps);
}
