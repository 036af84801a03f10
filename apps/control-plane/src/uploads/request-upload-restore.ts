import { isUploadKey } from '@strideiq/core';
import { and, eq } from 'drizzle-orm';
import { stores } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import { checkName } from '../restores/choose-target.ts';
import { once } from '../runs/once.ts';
import type { Requested, Requester, UploadRestore } from '../runs/requests.ts';
import { startRun } from '../runs/start-run.ts';
import type { WorkRequestsParts } from '../runs/work-requests.ts';

/** @throws ControlPlaneError as `WorkRequests.requestUploadRestore` says */
export async function requestUploadRestore(
  parts: WorkRequestsParts,
  { databaseId, storeId, key, into, tables }: UploadRestore,
  requester: Requester,
): Promise<Requested> {
  const asked = ['restore', 'upload', databaseId, storeId, key, into, ...(tables ?? []).toSorted()];
  return once(parts, requester, asked, (tx, news, ids) => {
    checkName(into);
    const own = and(eq(stores.id, storeId), eq(stores.databaseId, databaseId));
    const store = tx.select().from(stores).where(own).get();
    if (!store || !isUploadKey(key)) {
      throw new ControlPlaneError(
        'InputInvalid',
        `${JSON.stringify(key)} in the store ${storeId} is no upload for the database ${databaseId}.`,
        'POST /api/v1/uploads gives a place for one; name its storeId and key.',
      );
    }
    const part = tables === undefined ? {} : { tables };
    return startRun(tx, news, ids, {
      kind: 'restore',
      command: { kind: 'restoreUpload', databaseId, body: { storeId, key, into, ...part } },
      requester,
      request: { storeId, key, into, mode: 'upload', ...part },
    });
  });
}
