import type { CommandEnvelope } from '@strideiq/protocol';
import { and, asc, eq, gt, inArray } from 'drizzle-orm';
import type { Connection } from '../agents/connection.ts';
import { commands } from '../catalog/schema.ts';
import { commit, type NewsParts } from '../runs/news.ts';
import { dispatchRun } from './dispatch-run.ts';
import { moveCommand, type CommandRow } from './move-command.ts';

/**
 * Every command of an agent that is unacknowledged and unexpired, and then each new one. Anew with each subscription: the
 * agent knows those that it had already, and does none of them twice.
 */
export async function* deliverCommands(
  parts: NewsParts & { now: () => number },
  connection: Connection,
  subscription: AbortSignal,
): AsyncGenerator<CommandEnvelope, void, undefined> {
  const signal = connection.subscribe('commands', subscription);
  const sent = new Set<string>();
  while (!signal.aborted) {
    // Before the look, so that none falls between the two.
    const woken = connection.nextWake;
    for (const command of waiting(parts, connection)) {
      if (sent.has(command.id) || !markDelivered(parts, command)) continue;
      sent.add(command.id);
      yield envelopeOf(command);
      if (signal.aborted) return;
    }
    await woken;
  }
}

function waiting({ catalog, now }: NewsParts & { now: () => number }, { agentId, commandKinds }: Connection) {
  return catalog
    .select()
    .from(commands)
    .where(
      and(
        eq(commands.agentId, agentId),
        inArray(commands.state, ['queued', 'delivered']),
        inArray(commands.kind, [...commandKinds]),
        gt(commands.expiresAt, now()),
      ),
    )
    .orderBy(asc(commands.issuedAt), asc(commands.id))
    .all();
}

/**
 * Before it is sent: a command that stands as queued was never seen by anybody, and can be taken back.
 * @returns false where it does not wait any more
 */
function markDelivered(parts: NewsParts & { now: () => number }, { id }: CommandRow): boolean {
  return commit(parts, (tx, news) => {
    const command = tx.select().from(commands).where(eq(commands.id, id)).get();
    if (command?.state !== 'queued' && command?.state !== 'delivered') return false;
    const now = parts.now();
    moveCommand(tx, command, ['delivered'], { now });
    dispatchRun(tx, news, command.runId, now);
    return true;
  });
}

function envelopeOf({ id, kind, databaseId, runId, body, issuedAt, expiresAt }: CommandRow): CommandEnvelope {
  return {
    commandId: id,
    kind,
    databaseId,
    ...(runId === null ? {} : { runId }),
    issuedAt: new Date(issuedAt).toISOString(),
    expiresAt: new Date(expiresAt).toISOString(),
    body,
  };
}
