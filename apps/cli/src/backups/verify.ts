import { findBackup } from '../names/find-backup.ts';
import { storeIdsOf } from '../names/find-stores.ts';
import type { Command } from '../run-command.ts';
import { onlyOnce, started } from '../runs/started.ts';

/** `verify BACKUP`: the copies are read back, every byte. */
export async function verify(
  command: Command,
  reference: string,
  { database, store, watch = false }: { database?: string; store?: string[]; watch?: boolean },
): Promise<number> {
  const backup = await findBackup(command.client, reference, database);
  const stores = backup.copies.map((copy) => ({ id: copy.storeId, name: copy.store }));
  const chosen = storeIdsOf(store, stores);
  const asked = await command.client.backups.verify.mutate({ backupId: backup.id, ...chosen }, onlyOnce());
  return started(command, asked, { watch, what: `Verification of ${backup.objectName}` });
}
