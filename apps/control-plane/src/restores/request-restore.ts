import type { CommandOf, RestoreKind } from '@strideiq/protocol';
import { ownStoreIdsOf } from '../copies/presigning.ts';
import { once } from '../runs/once.ts';
import type { Requested, Requester, RestoreTarget, RestoreWhat } from '../runs/requests.ts';
import { startRun } from '../runs/start-run.ts';
import type { WorkRequestsParts } from '../runs/work-requests.ts';
import {
  auditElsewhere,
  chooseBackupAndOwner,
  chooseRestored,
  databaseIdOf,
  type Restored,
} from './choose-restored.ts';
import { chooseTarget } from './choose-target.ts';

/** @throws ControlPlaneError as `WorkRequests.requestRestore` says */
export async function requestRestore(
  parts: WorkRequestsParts,
  what: RestoreWhat,
  target: RestoreTarget,
  requester: Requester,
): Promise<Requested> {
  // Opening a store may take a moment, which a transaction has not.
  const ownStoreIds = await ownStoreIdsOf(parts, databaseIdOf(parts, what));
  const { agentId, mode, database: into } = target;
  const from = 'backupId' in what ? ['backup', what.backupId] : ['latest', what.databaseId];
  const asked = ['restore', ...from, agentId, mode, into, ...detailsOf(target)];
  return once(parts, requester, asked, (tx, news, ids) => {
    const { backup, source } = chooseBackupAndOwner(tx, what, ids.now);
    const { agent, database } = chooseTarget(tx, target, source.id);
    const { restored, storeId, via } = chooseRestored(tx, parts, { backup, source, agent, ownStoreIds });
    const place = { agentId, mode, into, ...placeDetails(target) };
    const runId = startRun(tx, news, ids, {
      kind: 'restore',
      command: { ...commandFor(target, restored), databaseId: database.id },
      requester,
      request: { backupId: backup.id, sourceDatabaseId: source.id, ...place, storeId, via },
      backupId: backup.id,
    });
    auditElsewhere(tx, { source, database, backupId: backup.id, runId, agentId, requester }, ids.now);
    return runId;
  });
}

function placeDetails(target: RestoreTarget): Record<string, unknown> {
  if (target.mode === 'inPlace') return { withoutSafetyBackup: target.withoutSafetyBackup === true };
  return target.mode === 'tables' ? { tables: target.tables } : {};
}

/** What is asked beside source and place, for one request to be told from another. */
function detailsOf(target: RestoreTarget): (string | boolean | null)[] {
  if (target.mode === 'inPlace') return [target.confirm ?? null, target.withoutSafetyBackup ?? false];
  return [target.viaDatabaseId ?? null, ...(target.tables ?? []).toSorted()];
}

type RestoreCommandKind = Exclude<RestoreKind, 'drill'>;
type RestoreCommand = { [Kind in RestoreCommandKind]: Pick<CommandOf<Kind>, 'kind' | 'body'> }[RestoreCommandKind];

function commandFor(target: RestoreTarget, restored: Restored): RestoreCommand {
  const { database: into } = target;
  switch (target.mode) {
    case 'fresh':
      return { kind: 'restoreFresh', body: { ...restored, into } };
    case 'tables':
      return { kind: 'restoreTables', body: { ...restored, into, tables: target.tables ?? [] } };
    case 'inPlace':
    default: {
      const without = target.withoutSafetyBackup === true ? { withoutSafetyBackup: true as const } : {};
      return { kind: 'restoreInPlace', body: { ...restored, confirm: into, ...without } };
    }
  }
}
