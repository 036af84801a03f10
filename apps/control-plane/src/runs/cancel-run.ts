import { and, eq, gt, inArray } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { commands, databases, runs } from '../catalog/schema.ts';
import { queueCommand } from '../commands/queue-command.ts';
import { withdrawCommand, withdrawnCode } from '../commands/withdraw-command.ts';
import { ControlPlaneError } from '../errors.ts';
import { moveRun, type RunRow } from './move-run.ts';
import type { News } from './news.ts';
import { once, type WorkIds } from './once.ts';
import { isOpen } from './open-states.ts';
import type { Requested, Requester } from './requests.ts';
import type { WorkRequestsParts } from './work-requests.ts';

/** @throws ControlPlaneError as `WorkRequests.cancelRun` says */
export function cancelRun(parts: WorkRequestsParts, runId: string, requester: Requester): Requested {
  return once(parts, requester, ['cancel', runId], (tx, news, ids) => {
    const run = tx.select().from(runs).where(eq(runs.id, runId)).get();
    if (!run) throw new ControlPlaneError('NotFound', `There is no run ${runId}.`, '`strideiq runs` lists them.');
    if (!isOpen(run.state)) {
      throw new ControlPlaneError('RunNotActive', `The run ${runId} is ${run.state}.`, 'There is nothing to cancel.');
    }
    if (isBeingCancelled(tx, run, ids.now)) return runId;
    cancel(tx, news, run, ids);
    const { environment } =
      tx.select({ environment: databases.environment }).from(databases).where(eq(databases.id, run.databaseId)).get() ??
      {};
    const entry = { actor: requester.keyId, action: 'run.cancel', subject: runId, detail: { was: run.state } };
    recordAudit(tx, { ...entry, ...(environment === undefined ? {} : { environment }) }, ids.now);
    return runId;
  });
}

function cancel(tx: CatalogTransaction, news: News, run: RunRow, { now, commandId }: WorkIds): void {
  const begins = run.commandId === null ? undefined : commandOf(tx, run.commandId);
  if (begins?.state === 'queued' || begins?.state === 'delivered') {
    const unseen = withdrawCommand(tx, begins, now);
    const why = { errorCode: withdrawnCode, error: 'It was cancelled before the host had begun it.' };
    if (unseen) {
      moveRun(tx, news, run, ['cancelled'], { now, ...why });
      return;
    }
    // The host may have it without having said so: then its word of the end is taken, and until then nobody waits for it.
    moveRun(tx, news, run, ['expired'], { now, ...why });
  }
  queueCommand(tx, news, { commandId, kind: 'cancel', databaseId: run.databaseId, body: { runId: run.id } }, now);
}

function isBeingCancelled(tx: CatalogTransaction, { id, agentId }: RunRow, now: number): boolean {
  const open = tx
    .select({ body: commands.body })
    .from(commands)
    .where(
      and(
        eq(commands.agentId, agentId),
        inArray(commands.state, ['queued', 'delivered', 'acknowledged']),
        eq(commands.kind, 'cancel'),
        gt(commands.expiresAt, now),
      ),
    )
    .all();
  return open.some(({ body }) => body['runId'] === id);
}

function commandOf(tx: CatalogTransaction, id: string) {
  return tx.select().from(commands).where(eq(commands.id, id)).get();
}
