import { eq } from 'drizzle-orm';
import type { ApiParts } from '../api/context.ts';
import { recordAudit } from '../audit/audit.ts';
import { agents, databases } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';

/**
 * Gives a database to another agent of its environment: its reports are taken from now on, and the former's no more.
 * Both say hello anew, so that each learns what is its own.
 * @throws ControlPlaneError `NotFound`, `EnvironmentMismatch`
 */
export function moveDatabase(
  { catalog, connections, now }: Pick<ApiParts, 'catalog' | 'connections' | 'now'>,
  { databaseId, agentId, actor }: { databaseId: string; agentId: string; actor: string },
): void {
  const from = catalog.transaction(
    (tx) => {
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
      return database.agentId;
    },
    { behavior: 'immediate' },
  );
  if (from === undefined) return;
  for (const each of [from, agentId]) connections.disconnect(each);
}
