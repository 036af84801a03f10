import type { Backup } from '@strideiq/control-plane/router';
import { momentOfBefore, parseBackupName } from '@strideiq/core';
import type { Client } from '../connection/client.ts';
import { listAll } from '../connection/pages.ts';
import { CliError } from '../errors.ts';
import { theOne } from './choose.ts';
import { databaseName, findDatabase } from './find-database.ts';
import { isId } from './id.ts';

/**
 * The backup that is named by its id, by its object's name, or as a good one of a database: the `latest`, or the newest
 * whose data are older than the moment of `before:TIME`.
 * @param database as people name it; tells apart what has the same name, and is needed with the last two
 * @throws CliError `NotFound`, `NameAmbiguous`, `UsageInvalid`; CoreError `ReferenceInvalid`; as the control plane says it
 */
export async function findBackup(client: Client, reference: string, database: string | undefined): Promise<Backup> {
  if (reference === 'latest') return newestOf(client, neededFor(reference, database));
  const before = momentOfBefore(reference);
  if (before) return newestOf(client, neededFor(reference, database), before);
  if (isId(reference)) return ofDatabase(await client.backups.get.query({ backupId: reference }), client, database);
  const object = objectNameOf(reference);
  const databases =
    database === undefined
      ? (await listAll(async (page) => client.databases.list.query(page))).items.filter(
          ({ name }) => name === object.database,
        )
      : [await findDatabase(client, database)];
  const found: Backup[] = [];
  for (const { id } of databases) {
    const { items } = await listAll(async (page) => client.backups.list.query({ ...page, databaseId: id }));
    found.push(...items.filter(({ objectName }) => objectName === object.name));
  }
  return theOne('backup', reference, {
    meant: found,
    all: [],
    named: (backup) => `${databaseName({ ...backup, name: backup.database })} ${backup.id}`,
    list: 'strideiq backups',
  });
}

/** @throws CliError `UsageInvalid` where it is another's */
async function ofDatabase(backup: Backup, client: Client, database: string | undefined): Promise<Backup> {
  if (database === undefined) return backup;
  const { id, environment, name } = await findDatabase(client, database);
  if (backup.databaseId === id) return backup;
  const own = databaseName({ ...backup, name: backup.database });
  throw new CliError(
    'UsageInvalid',
    `${backup.id} is a backup of ${own}, and not of ${databaseName({ environment, name })}.`,
    'Name one of its own: strideiq backups lists them.',
  );
}

/** As the control plane sees it: one that a wrong clock dated in the future never counts as the newest. */
async function newestOf(client: Client, database: string, before?: Date): Promise<Backup> {
  const { id } = await findDatabase(client, database);
  return client.backups.newest.query({
    databaseId: id,
    ...(before === undefined ? {} : { before: before.toISOString() }),
  });
}

/** @throws CliError `UsageInvalid` */
export function neededFor(reference: string, database: string | undefined): string {
  if (database !== undefined) return database;
  throw new CliError('UsageInvalid', `The ${reference} backup of which database?`, 'Name it by --database.');
}

/** @throws CliError `NotFound` */
export function objectNameOf(reference: string): { name: string; database: string } {
  const parsed = parseBackupName(reference.includes('.sql.gz') ? reference : `${reference}.sql.gz`);
  if (parsed?.kind === 'dump') return { name: parsed.names.dump, database: parsed.database };
  throw new CliError(
    'NotFound',
    `${JSON.stringify(reference)} names no backup.`,
    'A backup is named by its id, by its object (running_app_20260111_030000), as latest, or as before:2026-01-11T03:00Z; strideiq backups lists them. A file of this machine is named with its folder: ./dump.sql.gz.',
  );
}
