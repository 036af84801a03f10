import { newId } from '@strideiq/core';
import type { BackupSource } from '../backups/resolve-reference.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { missingCopy, verifyCopy, type Verification, type VerifyDependencies } from './verify-copy.ts';

export interface VerifyRequest {
  environment: string;
  database: string;
  databaseId: string;
  /** REF as it was asked for. */
  reference: string;
  /** One source a copy. */
  sources: readonly BackupSource[];
  /** Stores that hold the backup's manifest and not its dump. */
  missingIn: readonly { opened: OpenedStore; dumpKey: string }[];
}

export interface RunVerifyDependencies extends VerifyDependencies {
  now: () => number;
}

/** Reads copies back, one after another. The run succeeds when it could read them; what it found is in the result. */
export async function runVerify(request: VerifyRequest, deps: RunVerifyDependencies): Promise<Verification[]> {
  const { environment, database, databaseId, reference, sources, missingIn } = request;
  return deps.journal.record(
    { id: newId(deps.now()), kind: 'verify', environment, database, databaseId, detail: { source: reference } },
    async () => {
      const result: Verification[] = missingIn.map(({ opened, dumpKey }) => missingCopy(opened, dumpKey));
      for (const source of sources) result.push(await verifyCopy(source, deps));
      return { result, detail: { warnings: result.flatMap(({ problems }) => problems) } };
    },
  );
}
