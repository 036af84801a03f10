import { ownStoreIdsOf } from '../copies/presigning.ts';
import { auditElsewhere, chooseBackupAndOwner, chooseRestored, databaseIdOf } from '../restores/choose-restored.ts';
import { chooseServer } from '../restores/choose-target.ts';
import { once } from '../runs/once.ts';
import type { DrillTarget, Requested, Requester, RestoreWhat } from '../runs/requests.ts';
import { startRun } from '../runs/start-run.ts';
import type { WorkRequestsParts } from '../runs/work-requests.ts';

/** @throws ControlPlaneError as `WorkRequests.requestDrill` says */
export async function requestDrill(
  parts: WorkRequestsParts,
  what: RestoreWhat,
  { agentId, viaDatabaseId }: DrillTarget,
  requester: Requester,
): Promise<Requested> {
  // Opening a store may take a moment, which a transaction has not.
  const ownStoreIds = await ownStoreIdsOf(parts, databaseIdOf(parts, what));
  const from = 'backupId' in what ? ['backup', what.backupId] : ['latest', what.databaseId];
  const asked = ['drill', ...from, agentId ?? null, viaDatabaseId ?? null];
  return once(parts, requester, asked, (tx, news, ids) => {
    const { backup, source } = chooseBackupAndOwner(tx, what, ids.now);
    const where = { agentId: agentId ?? source.agentId, ...(viaDatabaseId === undefined ? {} : { viaDatabaseId }) };
    const { agent, database } = chooseServer(tx, where, source.id);
    const { restored, storeId, via } = chooseRestored(tx, parts, { backup, source, agent, ownStoreIds });
    const runId = startRun(tx, news, ids, {
      kind: 'drill',
      command: { kind: 'drill', databaseId: database.id, body: restored },
      requester,
      request: { backupId: backup.id, sourceDatabaseId: source.id, agentId: agent.id, storeId, via },
      backupId: backup.id,
    });
    auditElsewhere(tx, { source, database, backupId: backup.id, runId, agentId: agent.id, requester }, ids.now);
    return runId;
  });
}
