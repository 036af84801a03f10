import type { CommandOf } from '@strideiq/protocol';
import { eq } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { agents, backups, databases } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import { whyNoPresign } from '../copies/presigning.ts';
import { ControlPlaneError } from '../errors.ts';
import type { Requester, RestoreWhat } from '../runs/requests.ts';
import type { WorkRequestsParts } from '../runs/work-requests.ts';
import { chooseBackup, type BackupRow } from './choose-backup.ts';
import { chooseSource } from './choose-source.ts';
import type { ChosenTarget } from './choose-target.ts';

/** What a command says of the backup that it is about. */
export type Restored = CommandOf<'drill'>['body'];

type DatabaseRow = typeof databases.$inferSelect;

/**
 * The backup that was asked for, and the database that it is of.
 * @throws ControlPlaneError `NotFound`, `BackupNotRestorable`
 */
export function chooseBackupAndOwner(
  tx: CatalogReader,
  what: RestoreWhat,
  now: number,
): { backup: BackupRow; source: DatabaseRow } {
  const backup = chooseBackup(tx, what, now);
  const source = tx.select().from(databases).where(eq(databases.id, backup.databaseId)).get();
  if (!source) throw noSuchBackup(backup.id);
  return { backup, source };
}

/**
 * How an agent comes by a backup, and by what it knows that it is the right one.
 * @throws ControlPlaneError `NotFound`, `CopyUnreachable`
 */
export function chooseRestored(
  tx: CatalogReader,
  { connections }: Pick<WorkRequestsParts, 'connections'>,
  {
    backup,
    source,
    agent,
    ownStoreIds,
  }: { backup: BackupRow; source: DatabaseRow; agent: ChosenTarget['agent']; ownStoreIds: ReadonlySet<string> },
): { restored: Restored; storeId: string; via: 'store' | 'url' } {
  const maker = tx.select().from(agents).where(eq(agents.id, backup.agentId)).get();
  if (!maker) throw noSuchBackup(backup.id);
  const whyNotByAgent = whyNoPresign(tx, connections, source);
  const chosen = chooseSource(tx, backup.id, agent, { database: source, ownStoreIds, whyNotByAgent });
  const trust = { manifestSha256: backup.manifestSha256, publicKeyPem: maker.publicKeyPem };
  return {
    restored: { backupId: backup.id, sourceDatabaseId: source.id, source: chosen.source, trust },
    storeId: chosen.storeId,
    via: chosen.source.via,
  };
}

/** Whoever answers for the environment that a backup is of must see that it was read into another one. */
export function auditElsewhere(
  tx: CatalogTransaction,
  what: {
    source: DatabaseRow;
    database: DatabaseRow;
    backupId: string;
    runId: string;
    agentId: string;
    requester: Requester;
  },
  now: number,
): void {
  const { source, database, backupId, runId, agentId, requester } = what;
  if (source.environment === database.environment) return;
  const detail = { runId, databaseId: source.id, into: { environment: database.environment, agentId } };
  const entry = { actor: requester.keyId, action: 'restore.elsewhere', subject: backupId, detail };
  recordAudit(tx, { ...entry, environment: source.environment }, now);
}

/** Undefined where there is no such backup, which a request that was made before does not mind any more. */
export function databaseIdOf({ catalog }: Pick<WorkRequestsParts, 'catalog'>, what: RestoreWhat): string | undefined {
  if (!('backupId' in what)) return what.databaseId;
  return catalog.select({ id: backups.databaseId }).from(backups).where(eq(backups.id, what.backupId)).get()?.id;
}

function noSuchBackup(backupId: string): ControlPlaneError {
  return new ControlPlaneError('NotFound', `There is no backup ${backupId}.`, '`strideiq backups` lists them.');
}
