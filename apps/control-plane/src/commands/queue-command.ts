import { actionOf, type CommandKind, type CommandOf } from '@strideiq/protocol';
import { and, count, eq, inArray } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { agents, commands, databases } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import type { News } from '../runs/news.ts';

/** Commands that may wait for one agent. */
const mostWaiting = 100;

const minuteMs = 60_000;

/** How long a command may wait until the host begins it: what is asked for a run, and what is asked for right now. */
const lifetimeMs: Record<CommandKind, number> = {
  backup: 60 * minuteMs,
  verify: 60 * minuteMs,
  restoreFresh: 60 * minuteMs,
  restoreTables: 60 * minuteMs,
  // Whoever asks for it looks on: hours later the database would not be the one that was meant to be replaced.
  restoreInPlace: 15 * minuteMs,
  drill: 60 * minuteMs,
  restoreUpload: 60 * minuteMs,
  cancel: 5 * minuteMs,
  presign: 5 * minuteMs,
  presignUpload: 5 * minuteMs,
};

/** What is asked of an agent; holds no secret. */
export interface NewCommand<Kind extends CommandKind = CommandKind> {
  commandId: string;
  kind: Kind;
  /** It goes to the agent that looks after this one, whose `allow` list counts. */
  databaseId: string;
  /** Of the run that it begins. */
  runId?: string;
  body: CommandOf<Kind>['body'];
}

/**
 * Queues a command for the agent that looks after its database, and has it sent after the commit.
 * @returns that agent's id
 * @throws ControlPlaneError `NotFound`, `ActionNotAllowed`, `CommandUnsupported`, `TooManyCommands`
 */
export function queueCommand<Kind extends CommandKind>(
  tx: CatalogTransaction,
  news: News,
  { commandId, kind, databaseId, runId, body }: NewCommand<Kind>,
  now: number,
): string {
  const database = tx.select().from(databases).where(eq(databases.id, databaseId)).get();
  if (!database) {
    throw new ControlPlaneError('NotFound', `There is no database ${databaseId}.`, '`strideiq databases` lists them.');
  }
  const { agentId } = database;
  const agent = tx.select().from(agents).where(eq(agents.id, agentId)).get();
  refuseUnwilling(kind, database, agent);
  const waiting = tx
    .select({ count: count() })
    .from(commands)
    .where(and(eq(commands.agentId, agentId), inArray(commands.state, ['queued', 'delivered'])))
    .get();
  // What waits can always be called off; a run has one cancel at a time.
  if (kind !== 'cancel' && (waiting?.count ?? 0) >= mostWaiting) throw tooManyCommands(agent?.hostname ?? agentId);
  const expiresAt = now + lifetimeMs[kind];
  tx.insert(commands)
    .values({
      id: commandId,
      agentId,
      kind,
      databaseId,
      runId: runId ?? null,
      state: 'queued',
      body,
      issuedAt: now,
      expiresAt,
    })
    .run();
  news.toBeSent(agentId);
  return agentId;
}

/** Says at once what the host would say later, which has the last word anyway. */
function refuseUnwilling(
  kind: CommandKind,
  database: typeof databases.$inferSelect,
  agent: typeof agents.$inferSelect | undefined,
): void {
  const { name, allow, declared } = database;
  const host = agent?.hostname ?? database.agentId;
  if (!agent || agent.credentialHash === null) {
    throw new ControlPlaneError(
      'ActionNotAllowed',
      `The agent on ${host}, which looks after the database ${name}, was revoked.`,
      'Enrol that host again, by a new token.',
    );
  }
  if (!declared) {
    throw new ControlPlaneError(
      'ActionNotAllowed',
      `The agent on ${host} does not look after the database ${name} any more.`,
      'Name it in agent.yaml on that host, and restart the agent.',
    );
  }
  const action = actionOf(kind);
  if (!allow.includes(action)) {
    throw new ControlPlaneError(
      'ActionNotAllowed',
      `The host ${host} does not allow ${action} from afar on the database ${name}.`,
      `Add ${action} to \`allow\` of ${name} in agent.yaml on that host, and restart the agent.`,
    );
  }
  if (!agent.commandKinds.includes(kind)) {
    throw new ControlPlaneError(
      'CommandUnsupported',
      `The agent on ${host} is of the version ${agent.version}, which does not know ${kind}.`,
      'Upgrade it, and let it connect once.',
    );
  }
}

function tooManyCommands(host: string): ControlPlaneError {
  return new ControlPlaneError(
    'TooManyCommands',
    `${mostWaiting} commands wait for the agent on ${host} already.`,
    'See that it is connected (`strideiq agents`); what it does not take on in time expires.',
  );
}
