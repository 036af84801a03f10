import type { RestoreKind } from '@strideiq/protocol';
import { drillRequest } from '../drill/drill-request.ts';
import { runDrill } from '../drill/run-drill.ts';
import { AgentError } from '../errors.ts';
import { inPlaceRequest } from '../in-place/in-place-request.ts';
import { pruneReplaced } from '../in-place/prune-replaced.ts';
import { runInPlace } from '../in-place/run-in-place.ts';
import { log } from '../journal/run-log.ts';
import type { RestoreDependencies, RestoreRequest } from '../restore/restore-request.ts';
import { runRestore } from '../restore/run-restore.ts';
import { withSource } from './with-source.ts';
import type { Work } from './work.ts';

/**
 * `restoreFresh`, `restoreTables`, `restoreInPlace`, `drill`: a backup of this or another host into a new database on the
 * server of this one, in the place of the one that the command is about, or into one that is dropped again.
 */
export async function doRestore(work: Work<RestoreKind>): Promise<void> {
  const { command, database, host, progress, signal } = work;
  const { runId, commandId, databaseId, body } = command;
  const { journal, key, surroundings, configuration } = host;
  await withSource(work, async (source) => {
    const { trust } = body;
    const request: RestoreRequest = {
      environment: configuration.environment,
      database: database.name,
      databaseId,
      source,
      reference: source.dumpKey,
      maintenance: await host.maintenanceOf(database),
      trustSource: false,
      trust: trust && { ...trust, asSuperuser: configuration.controlPlane?.trustBackups === true },
      asked: { runId, commandId },
    };
    const deps = { journal, key, now: surroundings.now, progress, signal };
    const { hooks } = database;
    switch (command.kind) {
      case 'restoreFresh':
        return void (await runRestore({ ...request, hooks, into: command.body.into }, deps));
      case 'restoreTables': {
        const wanted = { tables: command.body.tables, postData: true };
        return void (await runRestore({ ...request, hooks, wanted, into: command.body.into }, deps));
      }
      case 'restoreInPlace':
        return inPlace({ ...work, command }, { ...request, hooks }, deps);
      case 'drill': {
        // What is asked of a database is its own host's to say, whichever server it is restored on.
        const own = host.databaseOfId(body.sourceDatabaseId);
        // Somebody who asked for no other place means the one that the host's file names.
        const on = body.sourceDatabaseId === databaseId ? host.scratchPlaceOf(database) : database;
        return void (await runDrill(await drillRequest(host, { database, own, on }, request), deps));
      }
    }
  });
}

async function inPlace(
  { command, database, host }: Work<'restoreInPlace'>,
  request: RestoreRequest,
  deps: RestoreDependencies,
): Promise<void> {
  const { confirm, withoutSafetyBackup = false } = command.body;
  if (confirm !== database.name) {
    throw new AgentError(
      'CommandInvalid',
      `The database to be replaced is ${database.name}, and ${JSON.stringify(confirm)} was confirmed.`,
      'Ask again, with its own name to confirm.',
    );
  }
  const how = { deps, safetyBackup: !withoutSafetyBackup, acceptExcluded: false };
  await runInPlace(await inPlaceRequest(host, database, request, how), deps);
  const { journal } = host;
  const { runId } = command;
  for (const line of await pruneReplaced(host, database)) log(journal, runId, 'info', line);
}
