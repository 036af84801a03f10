import { codeOf, paragraphOf } from '@strideiq/core';
import type { BackupRequest } from '../backup/backup-request.ts';
import { runBackup } from '../backup/run-backup.ts';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { pruneReplaced } from '../in-place/prune-replaced.ts';
import type { Asked } from '../journal/journal.ts';
import { log } from '../journal/run-log.ts';
import type { CopyOutcome } from '../journal/schema.ts';
import type { ReportProgress } from '../progress/progress.ts';
import type { PlanOptions } from '../retention/plan-copies.ts';
import { pruneByItself } from '../retention/prune-copies.ts';
import { copiesIn } from '../verify/copies-in.ts';
import { runVerify } from '../verify/run-verify.ts';

/** A backup that the daemon makes. */
export interface BackupWork {
  host: Host;
  database: DatabaseConfiguration;
  asked: Asked;
  /** Names of stores; left out: into all of the database's. */
  stores?: readonly string[] | undefined;
  progress: ReportProgress;
  signal: AbortSignal;
  /** What somebody has to look at, although the backup is made. */
  warn: (text: string) => void;
}

/** `backup`: into all stores of the database, or into those that are named. */
export async function doBackup(work: BackupWork): Promise<void> {
  const { host, database, asked, stores, progress, signal } = work;
  const request = await host.backupRequest(database, stores);
  signal.throwIfAborted();
  const { journal, key, surroundings } = host;
  const { backupId, copies } = await runBackup(
    { ...request, asked },
    { journal, key, now: surroundings.now, progress, signal },
  ).catch(async (error: unknown) => {
    // For want of room, perhaps: what is to go makes some for the next attempt. The newest good ones stay in any case.
    if (codeOf(error) === 'NoCopyStored') await prune(work, {});
    throw error;
  });
  for (const line of await pruneReplaced(host, database)) log(journal, asked.runId, 'info', line);
  const stored = copies.filter(({ state }) => state === 'stored');
  const bad = database.verify.afterBackup ? await readBack(work, request, { backupId, stored }) : [];
  // Where this one is not, the older ones are all there is.
  const good = stored.filter(({ store }) => !bad.includes(store)).map(({ storeId }) => storeId);
  await prune(work, { only: good });
}

async function prune({ host, database, asked, warn }: BackupWork, options: PlanOptions): Promise<void> {
  const { journal } = host;
  const { notes, warnings } = await pruneByItself(host, database, options);
  for (const note of notes) log(journal, asked.runId, 'info', note);
  for (const warning of warnings) {
    log(journal, asked.runId, 'warn', warning);
    warn(warning);
  }
}

/**
 * Reads the copies in directories back, as a run of its own: those in buckets cost their way here.
 * @returns the names of stores whose copy is not whole, or could not be read
 */
async function readBack(
  { host, database, progress, signal, warn }: BackupWork,
  { environment, databaseId, stores }: BackupRequest,
  { backupId, stored }: { backupId: string; stored: readonly CopyOutcome[] },
): Promise<string[]> {
  const { journal, key, surroundings } = host;
  const directories = stores.filter(
    ({ kind, name }) => kind === 'directory' && stored.some(({ store }) => store === name),
  );
  const [copy] = stored;
  if (directories.length === 0 || copy === undefined) return [];
  const { dumpKey } = copy;
  try {
    const wanted = { dumpKey, backupId, databaseId, named: true };
    const copies = await copiesIn(directories, wanted, journal, database.dump.stallLimitMs);
    const found = await runVerify(
      { environment, database: database.name, databaseId, reference: dumpKey, backupId, ...copies },
      { journal, key, now: surroundings.now, progress, signal },
    );
    const bad = found.filter(({ state }) => state !== 'verified');
    for (const { store, state, problems } of bad) warn(`the copy in ${store} is ${state}: ${problems.join('; ')}`);
    return bad.map(({ store }) => store);
  } catch (error) {
    // The backup is made all the same; one that this agent was stopped at is read back by the next `verify`.
    warn(`the new copies were not read back: ${paragraphOf(error)}`);
    return directories.map(({ name }) => name);
  }
}
