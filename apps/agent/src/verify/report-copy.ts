import type { Manifest } from '@strideiq/core';
import type { Journal } from '../journal/journal.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import type { Verification } from './verify-copy.ts';

/** As many as the protocol takes. */
const mostProblems = 20;

/** What the copy was looked at as. */
export interface LookedAt {
  databaseId: string;
  /** Left out: the one that this host made under that name, or that the copy's own manifest names. */
  backupId?: string;
  runId?: string;
  /** The manifest beside it. */
  manifest: Pick<Manifest, 'backupId' | 'databaseId'> | undefined;
}

/**
 * Reports what reading a copy back has shown. A dump that no agent made is none of the control plane's, and so is
 * another database's.
 */
export function reportCopy(
  journal: Journal,
  { databaseId, backupId, runId, manifest }: LookedAt,
  { dumpKey, state, bytes, problems }: Verification,
  { store }: OpenedStore,
): void {
  const named = manifest?.databaseId === databaseId ? manifest.backupId : undefined;
  const known = backupId ?? journal.backupIdOf(databaseId, dumpKey) ?? named;
  if (known === undefined) return;
  journal.copies.found({
    databaseId,
    backupId: known,
    storeId: store.storeId,
    key: dumpKey,
    state,
    problems: problems.slice(0, mostProblems),
    ...(state === 'missing' ? {} : { sizeBytes: bytes }),
    ...(runId === undefined ? {} : { runId }),
  });
}
