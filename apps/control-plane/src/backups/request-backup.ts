import { and, eq } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { stores } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import { once } from '../runs/once.ts';
import type { BackupRequest, Requested, Requester } from '../runs/requests.ts';
import { startRun } from '../runs/start-run.ts';
import type { WorkRequestsParts } from '../runs/work-requests.ts';

/** @throws ControlPlaneError as `WorkRequests.requestBackup` says */
export function requestBackup(
  parts: WorkRequestsParts,
  { databaseId, storeIds }: BackupRequest,
  requester: Requester,
): Requested {
  const only = storeIds && [...new Set(storeIds)].sort();
  return once(parts, requester, ['backup', databaseId, only ?? null], (tx, news, ids) => {
    if (only) checkStores(tx, databaseId, only);
    const body = only ? { storeIds: only } : {};
    const command = { kind: 'backup', databaseId, body } as const;
    return startRun(tx, news, ids, { kind: 'backup', command, requester, request: { databaseId, ...body } });
  });
}

function checkStores(tx: CatalogTransaction, databaseId: string, storeIds: readonly string[]): void {
  const ofDatabase = and(eq(stores.databaseId, databaseId), eq(stores.declared, true));
  const own = tx.select({ id: stores.id, name: stores.name }).from(stores).where(ofDatabase).all();
  const other = storeIds.find((id) => !own.some((store) => store.id === id));
  if (other === undefined) return;
  throw new ControlPlaneError(
    'InputInvalid',
    `The database ${databaseId} has no store ${other}.`,
    `It has ${own.map(({ id, name }) => `${name} (${id})`).join(', ') || 'none'}.`,
  );
}
