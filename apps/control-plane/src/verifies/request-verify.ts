import { eq } from 'drizzle-orm';
import { backups } from '../catalog/schema.ts';
import { copiesOf, type BackupCopy } from '../copies/backup-copies.ts';
import { ControlPlaneError } from '../errors.ts';
import { once } from '../runs/once.ts';
import type { Requested, Requester, VerifyRequest } from '../runs/requests.ts';
import { startRun } from '../runs/start-run.ts';
import type { WorkRequestsParts } from '../runs/work-requests.ts';

/** @throws ControlPlaneError as `WorkRequests.requestVerify` says */
export function requestVerify(
  parts: WorkRequestsParts,
  { backupId, storeIds }: VerifyRequest,
  requester: Requester,
): Requested {
  const only = storeIds && [...new Set(storeIds)].sort();
  return once(parts, requester, ['verify', backupId, only ?? null], (tx, news, ids) => {
    const backup = tx.select().from(backups).where(eq(backups.id, backupId)).get();
    if (!backup) {
      throw new ControlPlaneError('NotFound', `There is no backup ${backupId}.`, '`strideiq backups` lists them.');
    }
    const { key, in: places } = chooseCopies(backupId, copiesOf(tx, backupId), only);
    const { databaseId } = backup;
    const command = { kind: 'verify', databaseId, body: { backupId, key, storeIds: places } } as const;
    const request = { backupId, databaseId, storeIds: places };
    return startRun(tx, news, ids, { kind: 'verify', command, requester, request, backupId });
  });
}

/** What there is to read back: also what was found corrupt or missing, which may be back. */
const worthALook = ['stored', 'verified', 'corrupt', 'missing', 'locked'];

/** The copies to read back, which share one key: where a name was taken, a store has it under another. */
function chooseCopies(
  backupId: string,
  all: readonly BackupCopy[],
  only: readonly string[] | undefined,
): { key: string; in: string[] } {
  const there = all.filter(({ copy }) => worthALook.includes(copy.state));
  const chosen = only ? there.filter(({ store }) => only.includes(store.id)) : there;
  const [first] = chosen;
  const absent = only?.find((id) => !there.some(({ store }) => store.id === id));
  const listed = all.map(({ copy, store }) => `${store.name} (${store.id}): ${copy.state}`).join(', ') || 'none';
  if (!first || absent !== undefined) {
    throw new ControlPlaneError(
      'BackupNotRestorable',
      `The backup ${backupId} has no copy to read back${absent === undefined ? '' : ` in the store ${absent}`}.`,
      `Its copies: ${listed}.`,
    );
  }
  const { key } = first.copy;
  if (chosen.some(({ copy }) => copy.key !== key)) {
    throw new ControlPlaneError(
      'InputInvalid',
      `The copies of the backup ${backupId} have different names, and are read back one by one.`,
      `Name one store at a time: ${listed}.`,
    );
  }
  return { key, in: chosen.map(({ store }) => store.id) };
}
