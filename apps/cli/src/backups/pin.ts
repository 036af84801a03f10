import { momentToCome } from '../keys/create.ts';
import { momentText } from '../moments.ts';
import { findBackup } from '../names/find-backup.ts';
import type { Command } from '../run-command.ts';

export interface PinOptions {
  database?: string;
  reason: string;
  until?: string;
}

/** `pin BACKUP --reason TEXT [--until WHEN]`: keeps it, whatever the policy says. */
export async function pin({ client, output, now }: Command, reference: string, options: PinOptions): Promise<number> {
  const { id: backupId } = await findBackup(client, reference, options.database);
  const until = options.until === undefined ? null : momentToCome('--until', options.until, now());
  const pinned = await client.backups.pin.mutate({ backupId, reason: options.reason, until });
  output.result(
    pinned,
    `${pinned.objectName} is kept ${until === null ? 'until it is unpinned' : `until ${momentText(until)}`}.`,
  );
  return 0;
}

/** `unpin BACKUP`: leaves it to the policy again. */
export async function unpin(
  { client, output }: Command,
  reference: string,
  options: Pick<PinOptions, 'database'>,
): Promise<number> {
  const { id: backupId } = await findBackup(client, reference, options.database);
  const left = await client.backups.unpin.mutate({ backupId });
  output.result(left, `${left.objectName} is left to the policy.`);
  return 0;
}
