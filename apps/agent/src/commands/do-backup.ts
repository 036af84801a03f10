import { runBackup } from '../backup/run-backup.ts';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { pruneReplaced } from '../in-place/prune-replaced.ts';
import type { Asked } from '../journal/journal.ts';
import { log } from '../journal/run-log.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { storeNamesOf } from './store-names.ts';

/** A backup that the daemon makes. */
export interface BackupWork {
  host: Host;
  database: DatabaseConfiguration;
  asked: Asked;
  /** Left out: into all stores of the database. */
  storeIds?: readonly string[] | undefined;
  progress: ReportProgress;
  signal: AbortSignal;
}

/** `backup`: into all stores of the database, or into those that are named. */
export async function doBackup({ host, database, asked, storeIds, progress, signal }: BackupWork): Promise<void> {
  const only = storeNamesOf(host.configuration, database, storeIds);
  const request = await host.backupRequest(database, only);
  signal.throwIfAborted();
  const { journal, key, surroundings } = host;
  await runBackup({ ...request, asked }, { journal, key, now: surroundings.now, progress, signal });
  for (const line of await pruneReplaced(host, database)) log(journal, asked.runId, 'info', line);
}
