import type { Backup } from '@strideiq/control-plane/router';
import { parseBackupName } from '@strideiq/core';
import type { Client } from '../connection/client.ts';
import { listAll } from '../connection/pages.ts';
import { CliError } from '../errors.ts';
import { theOne } from './choose.ts';
import { databaseName, findDatabase } from './find-database.ts';
import { isId } from './id.ts';

/**
 * The backup that is named by its id, by its object's name, or as the `latest` good one of a database.
 * @param database as people name it; tells apart what has the same name, and is needed with `latest`
 * @throws CliError `NotFound`, `NameAmbiguous`, `UsageInvalid`
 */
export async function findBackup(client: Client, reference: string, database: string | undefined): Promise<Backup> {
  if (reference === 'latest') return latestOf(client, database);
  if (isId(reference)) return client.backups.get.query({ backupId: reference });
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

/** As the control plane sees it: one that a wrong clock dated in the future never counts as the newest. */
async function latestOf(client: Client, database: string | undefined): Promise<Backup> {
  const { environment, name, lastBackup } = await findDatabase(client, neededFor('latest', database));
  if (lastBackup) return client.backups.get.query({ backupId: lastBackup.id });
  const whole = databaseName({ environment, name });
  throw new CliError('NotFound', `There is no good backup of ${whole}.`, `strideiq backup ${whole} makes one.`);
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
    'A backup is named by its id, by its object (running_app_20260111_030000), or as latest; strideiq backups lists them.',
  );
}
