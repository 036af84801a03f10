import { resolveReference, sourceOf, type BackupSource } from '../backups/resolve-reference.ts';
import { runDrill } from '../drill/run-drill.ts';
import { AgentError } from '../errors.ts';
import { findBackups } from '../backups/find-backups.ts';
import { runVerify } from '../verify/run-verify.ts';
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
  const unreachable = [];
  for (const opened of buckets.length > 0 ? buckets : stores) {
    try {
      const source = await inTime(newestIn(opened, database.name), opened, database.dump.stallLimitMs);
      if (source) sources.push({ ...source, databaseId });
    } catch (error) {
      unreachable.push({ opened, error });
    }
  }
  if (sources.length + unreachable.length === 0) {
    throw new AgentError('BackupNotFound', `There is no copy of ${database.name} yet that could be read back.`);
  }
  await runVerify(
    {
      environment: configuration.environment,
      database: database.name,
      databaseId,
      reference: 'latest',
      sources,
      missingIn: [],
      unreachable,
      asked,
    },
    { journal, key, now: surroundings.now, progress, signal },
  );
}

async function newestIn(opened: BackupSource['opened'], database: string): Promise<BackupSource | undefined> {
  const backups = await findBackups([opened]);
  const newest = backups.find(
    ({ database: name, copies: [copy] }) =>
      name === database && copy?.hasManifest === true && copy.sizeBytes !== undefined,
  );
  return newest && sourceOf(opened, newest.names.dump);
}

/** The latest backup, on the database's own server. */
async function drillLatest({ host, database, asked, progress, signal }: BackupWork): Promise<void> {
  const { journal, key, surroundings, configuration } = host;
  const { now } = surroundings;
  const source = await resolveReference('latest', await host.storesOf(database), host.openPlace, now());
  const databaseId = host.databaseIdOf(database);
  await runDrill(
    {
      environment: configuration.environment,
      database: database.name,
      databaseId,
      source: { ...source, databaseId },
      reference: 'latest',
      maintenance: await host.maintenanceOf(database),
      elsewhere: false,
      trustSource: false,
      drill: database.drill,
      random: Math.random,
      asked,
    },
    { journal, key, now, progress, signal },
  );
}
