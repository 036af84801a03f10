import { eq } from 'drizzle-orm';
import type { ApiParts } from '../api/context.ts';
import { recordAudit } from '../audit/audit.ts';
import { agents, databases } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import { askAgain } from '../reports/ask-again.ts';
import { leaveRuns } from '../runs/leave-runs.ts';
import { commit } from '../runs/news.ts';

/**
 * Gives a database to another agent of its environment: its reports are taken, also those from before, and the former's no
 * more; what the former was asked for and has not ended is given up. Both say hello anew, so that each learns what is its own.
 * @throws ControlPlaneError `NotFound`, `EnvironmentMismatch`
 */
export function moveDatabase(
  parts: Pick<ApiParts, 'catalog' | 'connections' | 'liveRuns' | 'now'>,
  { databaseId, agentId, actor }: { databaseId: string; agentId: string; actor: string },
): void {
  const { connections, now } = parts;
  const from = commit(parts, (tx, news) => {
    const database = tx.select().from(databases).where(eq(databases.id, databaseId)).get();
    const agent = tx.select().from(agents).where(eq(agents.id, agentId)).get();
    if (database === undefined || agent === undefined) {
      const what = database === undefined ? `database ${databaseId}` : `agent ${agentId}`;
      throw new ControlPlaneError('NotFound', `There is no ${what}.`, 'GET /api/v1/databases and /agents list them.');
    }
    if (agent.environment !== database.environment) {
      throw new ControlPlaneError(
        'EnvironmentMismatch',
        `The database ${database.name} belongs to ${database.environment}, and ${agent.hostname} to ${agent.environment}.`,
        'A database stays in its environment: name an agent that belongs to it.',
      );
    }
    if (agent.credentialHash === null) {
      throw new ControlPlaneError(
        'ActionNotAllowed',
        `The agent on ${agent.hostname} was revoked, and could report nothing of ${database.name}.`,
        'Enrol the host again first.',
      );
    }
    if (database.agentId === agentId) return undefined;
    tx.update(databases).set({ agentId }).where(eq(databases.id, databaseId)).run();
    recordAudit(
      tx,
      {
        actor,
        action: 'database.move',
        environment: database.environment,
        subject: databaseId,
        detail: { from: database.agentId, to: agentId },
      },
      now(),
    );
    leaveRuns(tx, news, { databaseId, agentId: database.agentId }, now());
    askAgain(tx, agentId);
    return database.agentId;
  });
  if (from === undefined) return;
  for (const each of [from, agentId]) connections.disconnect(each);
}
