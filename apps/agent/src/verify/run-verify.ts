import { newId } from '@strideiq/core';
import type { BackupSource } from '../backups/resolve-reference.ts';
import type { Journal } from '../journal/journal.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { verifyCopy, type Verification } from './verify-copy.ts';

export interface VerifyRequest {
  environment: string;
  database: string;
  databaseId: string;
  /** REF as it was asked for. */
  reference: string;
  /** One source a copy. */
  sources: readonly BackupSource[];
}

export interface VerifyDependencies {
  journal: Journal;
  now: () => number;
  progress: ReportProgress;
  signal: AbortSignal;
}

/** Reads copies back, one after another. The run succeeds when it could read them; what it found is in the result. */
export async function runVerify(request: VerifyRequest, deps: VerifyDependencies): Promise<Verification[]> {
  const { environment, database, databaseId, reference, sources } = request;
  return deps.journal.record(
    { id: newId(deps.now()), kind: 'verify', environment, database, databaseId, detail: { source: reference } },
    async () => {
      const result: Verification[] = [];
      for (const source of sources) result.push(await verifyCopy(source, deps.progress, deps.signal));
      return { result, detail: { warnings: result.flatMap(({ problems }) => problems) } };
    },
  );
}
