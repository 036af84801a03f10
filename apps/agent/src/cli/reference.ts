import { momentOfBefore, paragraphOf, parseBackupName } from '@strideiq/core';
import { resolveReference, type BackupSource } from '../backups/resolve-reference.ts';
import type { AgentConfiguration, DatabaseConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import { databaseOfBackups, type Command } from './run-command.ts';

/**
 * Finds the backup that REF names, and the database it belongs to: the one that was said, else the one whose stores
 * hold it. `latest` and `before:TIME` need one to be said where the file holds several.
 */
export async function sourceOfReference(
  { host, surroundings, output }: Command,
  reference: string,
  name: string | undefined,
): Promise<{ source: BackupSource; database: DatabaseConfiguration }> {
  const namesItself = reference !== 'latest' && momentOfBefore(reference) === undefined;
  const databases =
    name === undefined && namesItself
      ? databasesOfName(host.configuration, reference)
      : [databaseOfBackups(host.configuration, name)];
  let failure: unknown;
  for (const database of databases) {
    try {
      const source = await resolveReference(
        reference,
        await host.storesOf(database),
        host.openPlace,
        surroundings.now(),
        ({ name, store }, error) => output.warn(`${name} (${store.location}) was not asked: ${paragraphOf(error)}`),
      );
      // A path or URL says itself whose file it is.
      if (reference.includes('/')) return { source, database };
      return { source: { ...source, databaseId: host.databaseIdOf(database) }, database };
    } catch (error) {
      if (!(error instanceof AgentError && error.code === 'BackupNotFound')) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

/** All that there are; and the one that the name of a backup says, where nobody knows that. */
function databasesOfName(configuration: AgentConfiguration, reference: string): DatabaseConfiguration[] {
  const all = Object.values(configuration.databases);
  const name = reference.slice(reference.lastIndexOf('/') + 1);
  const said = (parseBackupName(name) ?? parseBackupName(`${name}.sql.gz`))?.database;
  const isNew = all.length === 0 || (said !== undefined && !Object.hasOwn(configuration.databases, said));
  return isNew && Object.keys(configuration.servers).length > 0
    ? [...all, databaseOfBackups(configuration, said)]
    : all;
}
