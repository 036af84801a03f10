import { runBackup } from '../backup/run-backup.ts';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { pruneReplaced } from '../in-place/prune-replaced.ts';
import type { Asked } from '../journal/journal.ts';
import { log } from '../journal/run-log.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { pruneByItself } from '../retention/prune-copies.ts';
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
  /** What somebody has to look at, although the backup is made. */
  warn: (text: string) => void;
}

/** `backup`: into all stores of the database, or into those that are named. */
export async function doBackup(work: BackupWork): Promise<void> {
  const { host, database, asked, storeIds, progress, signal } = work;
  const only = storeNamesOf(host.configuration, database, storeIds);
  const request = await host.backupRequest(database, only);
  signal.throwIfAborted();
  const { journal, key, surroundings } = host;
  const { copies } = await runBackup({ ...request, asked }, { journal, key, now: surroundings.now, progress, signal });
  for (const line of await pruneReplaced(host, database)) log(journal, asked.runId, 'info', line);
  // Where this one is not, the older ones are all there is.
  const stored = copies.filter(({ state }) => state === 'stored').map(({ storeId }) => storeId);
  const { notes, warnings } = await pruneByItself(host, database, { only: stored });
  for (const note of notes) log(journal, asked.runId, 'info', note);
  for (const warning of warnings) {
    log(journal, asked.runId, 'warn', warning);
    work.warn(warning);
  }
}
