import { clockToleranceMs } from '@strideiq/core';
import { resolveReference, sourceOf, type BackupSource } from '../backups/resolve-reference.ts';
import { drillRequest } from '../drill/drill-request.ts';
import { runDrill } from '../drill/run-drill.ts';
import { AgentError } from '../errors.ts';
import { findBackups } from '../backups/find-backups.ts';
import { runVerify } from '../verify/run-verify.ts';
import type { Host } from '../compose.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { doBackup, type BackupWork } from './do-backup.ts';
import { inTime } from '../stores/in-time.ts';

/** Does what a schedule has come to. */
export async function doDue(kind: string, work: BackupWork): Promise<void> {
  if (kind === 'verify') return verifyNewest(work);
  if (kind === 'drill') return drillLatest(work);
  return doBackup(work);
}

/** The newest copy in each bucket, or in each directory where there is no bucket. */
async function verifyNewest({ host, database, asked, progress, signal }: BackupWork): Promise<void> {
  const { journal, key, surroundings, configuration } = host;
  const stores = await host.storesOf(database);
  const buckets = stores.filter(({ kind }) => kind === 's3');
  const databaseId = host.databaseIdOf(database);
  const sources: BackupSource[] = [];
  const missingIn: { opened: OpenedStore; dumpKey: string }[] = [];
  const unreachable = [];
  for (const opened of buckets.length > 0 ? buckets : stores) {
    try {
      const newest = await inTime(newestIn(opened, host, database.name), opened, database.dump.stallLimitMs);
      if (typeof newest === 'string') missingIn.push({ opened, dumpKey: newest });
      else if (newest) sources.push({ ...newest, databaseId });
    } catch (error) {
      unreachable.push({ opened, error });
    }
  }
  if (sources.length + missingIn.length + unreachable.length === 0) {
    throw new AgentError('BackupNotFound', `There is no copy of ${database.name} yet that could be read back.`);
  }
  await runVerify(
    {
      environment: configuration.environment,
      database: database.name,
      databaseId,
      reference: 'latest',
      sources,
      missingIn,
      unreachable,
      asked,
    },
    { journal, key, now: surroundings.now, progress, signal },
  );
}

/** @returns the key of its dump alone, where that is gone; undefined where none was ever put there */
async function newestIn(
  opened: OpenedStore,
  { surroundings }: Host,
  database: string,
): Promise<BackupSource | string | undefined> {
  const backups = await findBackups([opened]);
  const newest = backups.find(
    ({ database: name, at, copies: [copy] }) =>
      name === database && copy?.hasManifest === true && at.getTime() <= surroundings.now() + clockToleranceMs,
  );
  if (!newest) return undefined;
  return newest.copies[0]?.sizeBytes === undefined ? newest.names.dump : sourceOf(opened, newest.names.dump);
}

/** The latest backup, where the host's file says. */
async function drillLatest({ host, database, asked, progress, signal }: BackupWork): Promise<void> {
  const { journal, key, surroundings } = host;
  const { now } = surroundings;
  const source = await resolveReference('latest', await host.storesOf(database), host.openPlace, now());
  const request = await drillRequest(
    host,
    { database, own: database, on: host.scratchPlaceOf(database) },
    { source: { ...source, databaseId: host.databaseIdOf(database) }, reference: 'latest', trustSource: false, asked },
  );
  await runDrill(request, { journal, key, now, progress, signal });
}
