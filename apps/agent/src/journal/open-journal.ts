import { makeOwnDirectory, openDatabase, type SqliteDatabase } from '@strideiq/sqlite';
import { join } from 'node:path';
import { AgentError } from '../errors.ts';
import * as schema from './schema.ts';

export type JournalDatabase = SqliteDatabase<typeof schema>;

const migrationsFolder = join(import.meta.dirname, 'migrations');

/**
 * Opens the journal in `stateDir`, making and migrating it where needed.
 * @throws AgentError `StateUnusable`
 */
export function openJournal(stateDir: string): JournalDatabase {
  try {
    makeOwnDirectory(stateDir);
    return openDatabase({ file: join(stateDir, 'journal.db'), schema, migrationsFolder });
  } catch (cause) {
    throw new AgentError(
      'StateUnusable',
      `The state directory ${stateDir} cannot be used: ${(cause as Error).message}.`,
      'It must be a folder that this user may write to; name another one as `stateDir` in agent.yaml or by --state-dir.',
      { cause },
    );
  }
}
