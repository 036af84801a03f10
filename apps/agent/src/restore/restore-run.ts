import { newId } from '@strideiq/core';
import { askedBy, type NewRun } from '../journal/journal.ts';
import { loggingPhases } from '../journal/run-log.ts';
import { describeServer } from '../postgres/endpoint.ts';
import type { RestoreDependencies, RestoreRequest } from './restore-request.ts';

/** The run of a restore, as the journal is to have it, and what it is to work with. */
export interface RestoreRun {
  run: NewRun;
  deps: RestoreDependencies;
}

/** @param into name of the database that it is about; a drill has none */
export function restoreRunOf(
  request: RestoreRequest,
  dependencies: RestoreDependencies,
  { kind, into }: { kind: 'restore' | 'drill'; into?: string },
): RestoreRun {
  const { environment, database, databaseId, source, reference, asked, maintenance } = request;
  const { journal, now, progress } = dependencies;
  const id = asked?.runId ?? newId(now());
  const backupId = source.found?.manifest.backupId;
  const detail = {
    source: reference,
    server: describeServer(maintenance),
    ...(into === undefined ? {} : { into }),
    ...(backupId === undefined ? {} : { backupId }),
    ...askedBy(asked),
  };
  return {
    run: { id, kind, environment, database, databaseId, detail },
    deps: { ...dependencies, progress: loggingPhases(journal, id, progress) },
  };
}
