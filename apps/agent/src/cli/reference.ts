import { momentOfBefore, paragraphOf } from '@strideiq/core';
import { resolveReference, type BackupSource } from '../backups/resolve-reference.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import { databaseOf, type Command } from './run-command.ts';

/**
 * Finds the backup that REF names, and the database it belongs to: the one that was said, else the one whose stores
 * hold it. `latest` and `before:TIME` need one to be said where the file holds several.
 */
export async function sourceOfReference(
  { host, surroundings, output }: Command,
  reference: string,
  name: string | undefined,
): Promise<{ source: BackupSource; database: DatabaseConfiguration }> {
  const all = Object.values(host.configuration.databases);
  const namesItself = reference !== 'latest' && momentOfBefore(reference) === undefined;
  const databases = name === undefined && namesItself ? all : [databaseOf(host.configuration, name)];
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
