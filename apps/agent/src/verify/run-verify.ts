import { newId, paragraphOf, type Manifest } from '@strideiq/core';
import type { BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import { askedBy, type Asked } from '../journal/journal.ts';
import { log, loggingPhases } from '../journal/run-log.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { reportCopy } from './report-copy.ts';
import { missingCopy, verifyCopy, type Verification, type VerifyDependencies } from './verify-copy.ts';

export interface VerifyRequest {
  environment: string;
  database: string;
  databaseId: string;
  /** REF as it was asked for. */
  reference: string;
  /** The backup that is to be found there, where that is known. */
  backupId?: string;
  /** One source a copy. */
  sources: readonly BackupSource[];
  /** Stores that hold no dump of it where there should be one. */
  missingIn: readonly { opened: OpenedStore; dumpKey: string }[];
  /** Stores that could not be asked, and why: the run fails for them, once the others were read. */
  unreachable?: readonly { opened: OpenedStore; error: unknown }[];
  /** Left out: this host asks for it itself. */
  asked?: Asked;
}

export interface RunVerifyDependencies extends VerifyDependencies {
  now: () => number;
}

/** Reads copies back, one after another. The run succeeds when it could read them; what it found is in the result. */
export async function runVerify(request: VerifyRequest, dependencies: RunVerifyDependencies): Promise<Verification[]> {
  const { environment, database, databaseId, reference, sources, missingIn, unreachable = [], asked } = request;
  const { journal } = dependencies;
  const runId = asked?.runId ?? newId(dependencies.now());
  const deps = { ...dependencies, progress: loggingPhases(journal, runId, dependencies.progress) };
  const detail = { source: reference, ...askedBy(asked) };
  return journal.record({ id: runId, kind: 'verify', environment, database, databaseId, detail }, async () => {
    const result: Verification[] = [];
    // Each is told as soon as it is known: a run that is killed has not read the others for nothing.
    const add = (one: Verification, opened: OpenedStore, manifest?: Manifest) => {
      result.push(one);
      const { state, store, problems } = one;
      log(journal, runId, state === 'verified' ? 'info' : 'error', [`${store}: ${state}`, ...problems].join('; '));
      reportCopy(journal, { ...request, runId, manifest }, one, opened);
    };
    for (const { opened, dumpKey } of missingIn) add(missingCopy(opened, dumpKey), opened);
    for (const source of sources) add(await verifyCopy(source, deps), source.opened, source.found?.manifest);
    if (unreachable.length > 0) throw notAsked(unreachable);
    return { result, detail: { warnings: result.flatMap(({ problems }) => problems) } };
  });
}

function notAsked(stores: NonNullable<VerifyRequest['unreachable']>): AgentError {
  const why = stores.map(({ opened, error }) => `${opened.name} (${opened.store.location}): ${paragraphOf(error)}`);
  return new AgentError('StoreFailed', `Copies could not be read back. ${why.join(' ')}`);
}
