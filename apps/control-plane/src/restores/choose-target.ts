import { and, asc, eq } from 'drizzle-orm';
import { agents, databases } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import { ControlPlaneError } from '../errors.ts';
import type { RestoreTarget } from '../runs/requests.ts';

export interface ChosenTarget {
  agent: typeof agents.$inferSelect;
  /** Whose server, and whose `allow` list. */
  database: typeof databases.$inferSelect;
}

/** What PostgreSQL keeps of a name (PostgreSQL docs, "Identifiers and Key Words"); a longer one would be cut. */
const mostNameBytes = 63;

/**
 * The database that is replaced, or on whose server the new one is made.
 * @throws ControlPlaneError `NotFound`, `InputInvalid`, `TargetAmbiguous`, `ActionNotAllowed`
 */
export function chooseTarget(tx: CatalogReader, target: RestoreTarget, sourceDatabaseId: string): ChosenTarget {
  if (target.mode !== 'inPlace') {
    checkName(target.database);
    return chooseServer(tx, target, sourceDatabaseId);
  }
  const agent = agentOf(tx, target.agentId);
  return { agent, database: chooseReplaced(target, agent.hostname, heldBy(tx, agent.id)) };
}

/**
 * On whose server a new database is made: the named one's, else the source's own where the target looks after it, else the
 * only one's that the target looks after.
 * @throws ControlPlaneError `NotFound`, `InputInvalid`, `TargetAmbiguous`, `ActionNotAllowed`
 */
export function chooseServer(
  tx: CatalogReader,
  { agentId, viaDatabaseId }: { agentId: string; viaDatabaseId?: string },
  sourceDatabaseId: string,
): ChosenTarget {
  const agent = agentOf(tx, agentId);
  const held = heldBy(tx, agentId);
  const named = held.find(({ id }) => id === viaDatabaseId);
  if (viaDatabaseId !== undefined && !named) throw notItsDatabase(viaDatabaseId, agent.hostname, held);
  const database = named ?? held.find(({ id }) => id === sourceDatabaseId) ?? (held.length === 1 ? held[0] : undefined);
  if (database) return { agent, database };
  if (held.length > 0) throw targetAmbiguous(agent.hostname, held);
  throw new ControlPlaneError(
    'ActionNotAllowed',
    `The agent on ${agent.hostname} looks after no database, so it knows no server to restore to.`,
    'Name one in agent.yaml on that host, and restart the agent.',
  );
}

function agentOf(tx: CatalogReader, agentId: string): ChosenTarget['agent'] {
  const agent = tx.select().from(agents).where(eq(agents.id, agentId)).get();
  if (agent) return agent;
  throw new ControlPlaneError('NotFound', `There is no agent ${agentId}.`, '`strideiq agents` lists them.');
}

/** The databases that its file names. */
function heldBy(tx: CatalogReader, agentId: string): ChosenTarget['database'][] {
  return tx
    .select()
    .from(databases)
    .where(and(eq(databases.agentId, agentId), eq(databases.declared, true)))
    .orderBy(asc(databases.name))
    .all();
}

function chooseReplaced<Database extends Named>(
  { database: name, confirm }: Extract<RestoreTarget, { mode: 'inPlace' }>,
  hostname: string,
  held: readonly Database[],
): Database {
  const found = held.find((database) => database.name === name);
  if (!found) {
    throw new ControlPlaneError(
      'InputInvalid',
      `The agent on ${hostname} looks after no database ${JSON.stringify(name)} that could be replaced.`,
      `It looks after ${listed(held)}.`,
    );
  }
  if (confirm === name) return found;
  throw new ControlPlaneError(
    'InputInvalid',
    `Replacing ${name} was ${confirm === undefined ? 'not confirmed' : `confirmed by ${JSON.stringify(confirm)}`}.`,
    `Say "confirm": ${JSON.stringify(name)}; the database that is there is kept under another name.`,
  );
}

/** @throws ControlPlaneError `InputInvalid` */
export function checkName(name: string): void {
  // oxlint-disable-next-line no-control-regex -- exactly those
  if (name !== '' && Buffer.byteLength(name) <= mostNameBytes && !/[\u0000-\u001f\u007f]/.test(name)) return;
  throw new ControlPlaneError(
    'InputInvalid',
    `${JSON.stringify(name.slice(0, 200))} cannot be the name of a new database.`,
    `Give it 1 to ${mostNameBytes} bytes, without control characters.`,
  );
}

function notItsDatabase(databaseId: string, hostname: string, held: readonly Named[]): ControlPlaneError {
  return new ControlPlaneError(
    'InputInvalid',
    `The agent on ${hostname} does not look after the database ${databaseId}.`,
    `It looks after ${listed(held)}.`,
  );
}

function targetAmbiguous(hostname: string, held: readonly Named[]): ControlPlaneError {
  return new ControlPlaneError(
    'TargetAmbiguous',
    `The agent on ${hostname} looks after several databases, which may be on several servers: ${listed(held)}.`,
    'Name the one on whose server to restore.',
  );
}

interface Named {
  id: string;
  name: string;
}

function listed(held: readonly Named[]): string {
  return held.length === 0 ? 'none' : held.map(({ id, name }) => `${name} (${id})`).join(', ');
}
