import { eq } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { backups, commands, databases, runs, stores } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';

/**
 * What an agent reports about must be its own. Ids of others and ids of nothing get the same words: which ids others have
 * is nobody's business.
 */

/** @throws ControlPlaneError `NotOwner` */
export function ownDatabase(tx: CatalogTransaction, agentId: string, databaseId: string): void {
  const row = tx.select({ owner: databases.agentId }).from(databases).where(eq(databases.id, databaseId)).get();
  if (row?.owner !== agentId) throw notOwner('database', databaseId);
}

/**
 * The run, or undefined where it is new.
 * @throws ControlPlaneError `NotOwner`
 */
export function ownRunOrNew(tx: CatalogTransaction, agentId: string, runId: string) {
  const run = tx.select().from(runs).where(eq(runs.id, runId)).get();
  if (run && run.agentId !== agentId) throw notOwner('run', runId);
  return run;
}

/** @throws ControlPlaneError `NotOwner` */
export function ownRun(tx: CatalogTransaction, agentId: string, runId: string) {
  return ownRunOrNew(tx, agentId, runId) ?? notOwned('run', runId);
}

/**
 * The command, or undefined where the catalog knows none: it may have been set back.
 * @throws ControlPlaneError `NotOwner`
 */
export function ownCommandOrUnknown(tx: CatalogTransaction, agentId: string, commandId: string) {
  const command = tx.select().from(commands).where(eq(commands.id, commandId)).get();
  if (command && command.agentId !== agentId) throw notOwner('command', commandId);
  return command;
}

/**
 * The backup, which is this database's, or undefined where it is new.
 * @throws ControlPlaneError `NotOwner`
 */
export function ownBackupOrNew(tx: CatalogTransaction, databaseId: string, backupId: string) {
  const backup = tx.select().from(backups).where(eq(backups.id, backupId)).get();
  if (backup && backup.databaseId !== databaseId) throw notOwner('backup', backupId);
  return backup;
}

/** Whether a store is this database's; false where it is another's, or nobody has claimed it. */
export function isOwnStore(tx: CatalogTransaction, databaseId: string, storeId: string): boolean {
  const store = tx.select({ owner: stores.databaseId }).from(stores).where(eq(stores.id, storeId)).get();
  return store?.owner === databaseId;
}

export function notOwned(kind: string, id: string): never {
  throw notOwner(kind, id);
}

function notOwner(kind: string, id: string): ControlPlaneError {
  return new ControlPlaneError(
    'NotOwner',
    `The ${kind} ${id} is none of this agent's.`,
    "See `strideiq agents` for what belongs to whom; a database moves to another host only by somebody's explicit act.",
  );
}
