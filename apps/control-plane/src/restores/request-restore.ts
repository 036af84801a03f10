import { eq } from 'drizzle-orm';
import { agents, backups, databases } from '../catalog/schema.ts';
import { ownStoreIdsOf, whyNoPresign } from '../copies/presigning.ts';
import { ControlPlaneError } from '../errors.ts';
import { recordAudit } from '../audit/audit.ts';
import { once } from '../runs/once.ts';
import type { Requested, Requester, RestoreTarget, RestoreWhat } from '../runs/requests.ts';
import { startRun } from '../runs/start-run.ts';
import type { WorkRequestsParts } from '../runs/work-requests.ts';
import { chooseBackup } from './choose-backup.ts';
import { chooseSource } from './choose-source.ts';
import { chooseTarget } from './choose-target.ts';

/** @throws ControlPlaneError as `WorkRequests.requestRestore` says */
export async function requestRestore(
  parts: WorkRequestsParts,
  what: RestoreWhat,
  target: RestoreTarget,
  requester: Requester,
): Promise<Requested> {
  const { connections } = parts;
  // Opening a store may take a moment, which a transaction has not.
  const ownStoreIds = await ownStoreIdsOf(parts, databaseIdOf(parts, what));
  const { agentId, mode, database: into, viaDatabaseId } = target;
  const from = 'backupId' in what ? ['backup', what.backupId] : ['latest', what.databaseId];
  const asked = ['restore', ...from, agentId, mode, into, viaDatabaseId ?? null];
  return once(parts, requester, asked, (tx, news, ids) => {
    const backup = chooseBackup(tx, what, ids.now);
    const source = tx.select().from(databases).where(eq(databases.id, backup.databaseId)).get();
    const maker = tx.select().from(agents).where(eq(agents.id, backup.agentId)).get();
    if (!source || !maker) throw noSuchBackup(backup.id);
    const { agent, database } = chooseTarget(tx, target, source.id);
    const whyNotByAgent = whyNoPresign(tx, connections, source);
    const chosen = chooseSource(tx, backup.id, agent, { database: source, ownStoreIds, whyNotByAgent });
    const trust = { manifestSha256: backup.manifestSha256, publicKeyPem: maker.publicKeyPem };
    const request = { backupId: backup.id, sourceDatabaseId: source.id, agentId, mode, into, storeId: chosen.storeId };
    const body = { backupId: backup.id, sourceDatabaseId: source.id, source: chosen.source, into, trust };
    const runId = startRun(tx, news, ids, {
      kind: 'restore',
      command: { kind: 'restoreFresh', databaseId: database.id, body },
      requester,
      request: { ...request, via: chosen.source.via },
      backupId: backup.id,
    });
    if (source.environment !== database.environment) {
      // Whoever answers for the source must see it too.
      const detail = { runId, databaseId: source.id, into: { environment: database.environment, agentId } };
      const entry = { actor: requester.keyId, action: 'restore.elsewhere', subject: backup.id, detail };
      recordAudit(tx, { ...entry, environment: source.environment }, ids.now);
    }
    return runId;
  });
}

/** Undefined where there is no such backup, which a request that was made before does not mind any more. */
function databaseIdOf({ catalog }: WorkRequestsParts, what: RestoreWhat): string | undefined {
  if (!('backupId' in what)) return what.databaseId;
  return catalog.select({ id: backups.databaseId }).from(backups).where(eq(backups.id, what.backupId)).get()?.id;
}

function noSuchBackup(backupId: string): ControlPlaneError {
  return new ControlPlaneError('NotFound', `There is no backup ${backupId}.`, '`strideiq backups` lists them.');
}
