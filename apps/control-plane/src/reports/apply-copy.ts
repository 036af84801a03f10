import { copyStates, CoreError, type CopyState } from '@strideiq/core';
import type { CopyReport } from '@strideiq/protocol';
import { and, eq } from 'drizzle-orm';
import { copies } from '../catalog/schema.ts';
import { isOwnStore, notOwned, ownBackupOrNew, ownDatabase, ownRunOrNew } from './owned.ts';
import type { Reported } from './reported.ts';

/** States that a copy leaves by the table alone, whatever reading it back shows. */
const leaving: readonly CopyState[] = ['deleted', 'locked'];

/** What reading a copy back, or looking for it, has shown. */
export function applyCopy({ tx, news, agentId, hostAt, now }: Reported, said: CopyReport): void {
  const { runId, databaseId, backupId, storeId, key, state, sizeBytes, problems } = said;
  ownDatabase(tx, agentId, databaseId);
  const backup = ownBackupOrNew(tx, databaseId, backupId) ?? notOwned('backup', backupId);
  if (!isOwnStore(tx, databaseId, storeId)) notOwned('store', storeId);
  if (runId !== undefined) ownRunOrNew(tx, agentId, runId);
  const ofCopy = and(eq(copies.backupId, backupId), eq(copies.storeId, storeId));
  const known = tx.select().from(copies).where(ofCopy).get();
  // What is where is said by the backup's own run, and once.
  if (known && known.key !== key) notOwned('copy', key);
  // It is not there because it was removed, which its host was not told.
  if (known?.state === 'deleted' && state === 'missing') return;
  // One that was removed and is made again, as by rules that have become wider, is another copy.
  const isAnother = known?.state === 'deleted' && state === 'stored';
  const from = known && !isAnother ? known.state : copyStates.initial;
  let to: CopyState = from;
  for (const step of stepsTo(from, state)) to = copyStates.move(to, step);
  const told = {
    key,
    state: to,
    changedAt: now,
    // Found again as it was, it is so for as long as before.
    ...(known?.state === to ? {} : { hostSince: Math.min(hostAt, now) }),
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    // It was made anew, or read back as it is now.
    ...(state === 'stored' || state === 'verified' ? { modifiedAt: null } : {}),
    // When it was read back, not when we heard of it; a host whose clock is ahead does not make it newer than now.
    ...(state === 'verified' ? { verifiedAt: Math.min(hostAt, now) } : {}),
    errorCode: errorCodeOf[state],
    error: problems.length === 0 ? null : problems.join('\n'),
  };
  tx.insert(copies)
    .values({ backupId, storeId, ...told })
    .onConflictDoUpdate({ target: [copies.backupId, copies.storeId], set: told })
    .run();
  news.runChanged(runId ?? backup.runId);
}

const errorCodeOf = { verified: null, stored: null, corrupt: 'CopyCorrupt', missing: 'CopyMissing' } as const;

/** @throws CoreError `IllegalTransition` */
function stepsTo(from: CopyState, said: CopyReport['state']): CopyState[] {
  // How its removal ends is for whoever removes it to tell.
  if (from === 'deleting') throw new CoreError('IllegalTransition', `copy is ${from}, and cannot become ${said}`);
  // Looked for again with the same finding: nothing but the details changes. Reading back anew is a step, with its moment.
  if (from === said && !copyStates.canMove(from, said)) return [];
  // It was read back since by somebody who was quicker to tell.
  if (said === 'stored' && from === 'verified') return [];
  if (leaving.includes(from) || copyStates.canMove(from, said)) return [copyStates.move(from, said)];
  return copyStates.path(from, said) ?? [copyStates.move(from, said)];
}
