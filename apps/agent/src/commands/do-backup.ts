import { runBackup } from '../backup/run-backup.ts';
import { pruneReplaced } from '../in-place/prune-replaced.ts';
import { log } from '../journal/run-log.ts';
import { storeNamesOf } from './store-names.ts';
import type { Work } from './work.ts';

/** `backup`: into all stores of the database, or into those that are named. */
export async function doBackup({ command, database, host, progress, signal }: Work<'backup'>): Promise<void> {
  const { runId, commandId, body } = command;
  const only = storeNamesOf(host.configuration, database, body.storeIds);
  const request = await host.backupRequest(database, only);
  signal.throwIfAborted();
  const { journal, key, surroundings } = host;
  await runBackup(
    { ...request, asked: { runId, commandId } },
    { journal, key, now: surroundings.now, progress, signal },
  );
  for (const line of await pruneReplaced(host, database)) log(journal, runId, 'info', line);
}
