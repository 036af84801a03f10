import { backupNames, newId, type BackupNames } from '@strideiq/core';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { manifestText, sealedBackupOf, sha256 } from '../backup/manifest.ts';
import type { Host } from '../compose.ts';
import { exampleManifest } from './example-manifest.ts';

/** A backup as its run leaves it: sealed in the journal, with its files in directories. */
export interface StoredBackup {
  runId: string;
  backupId: string;
  names: BackupNames;
  manifestSha256: string;
}

export interface StoredBackupOptions {
  /** The moment in its name, milliseconds since 1970. */
  at: number;
  /** Paths of the directories that hold dump and manifest. */
  directories: readonly string[];
  /** Names of stores whose copy could not be made; in all others the journal holds it for stored. */
  failedIn?: readonly string[];
}

/** Writes what a run writes that has backed up `app`, without making a dump: 30 bytes, as in the example's manifest. */
export async function storeBackup(
  host: Host,
  { at, directories, failedIn = [] }: StoredBackupOptions,
): Promise<StoredBackup> {
  const database = host.configuration.databases['app'];
  if (!database) throw new Error('the host has no database app');
  const names = backupNames(database.name, new Date(at));
  const content = createHash('sha256').update(names.stem).digest('hex').slice(0, exampleManifest.object.bytes);
  const [backupId, runId] = [newId(at), newId(at)];
  const object = { ...exampleManifest.object, name: names.dump, sha256: sha256(Buffer.from(content)) };
  const manifest = { ...exampleManifest, backupId, runId, object };
  const text = manifestText(manifest, names.manifest);
  for (const directory of directories) {
    writeFileSync(join(directory, names.dump), content);
    writeFileSync(join(directory, names.manifest), text);
  }
  const { journal } = host;
  const { environment } = host.configuration;
  const databaseId = host.databaseIdOf(database);
  journal.begin({
    id: runId,
    kind: 'backup',
    environment,
    database: database.name,
    databaseId,
    detail: { backupId },
  });
  const manifestSha256 = sha256(text);
  const seal = { runId, backupId, manifest: text.toString(), manifestSha256, privileges: null, globals: null };
  journal.seal(seal, sealedBackupOf(manifest, manifestSha256));
  const copies = (await host.storesOf(database)).map(({ name, store }) => {
    const planned = { storeId: store.storeId, store: name, location: store.location, dumpKey: names.dump };
    return failedIn.includes(name)
      ? { ...planned, state: 'failed' as const, errorCode: 'StoreFailed', error: 'away' }
      : { ...planned, state: 'stored' as const, sizeBytes: object.bytes };
  });
  journal.finish(runId, 'succeeded', { copies });
  return { runId, backupId, names, manifestSha256 };
}
