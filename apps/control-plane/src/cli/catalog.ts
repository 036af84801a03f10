import { resolve } from 'node:path';
import { backupCatalog, restoreCatalog } from '../catalog/backup-catalog.ts';
import type { Command } from './run-command.ts';

export function backup({ configuration, output }: Command, file: string): number {
  const target = resolve(file);
  backupCatalog(configuration.dataDir, target);
  output.result(
    { file: target },
    `The catalog is in ${target}. It holds no secret but who may do what: keep it private.`,
  );
  return 0;
}

export async function restore({ configuration, output, now }: Command, file: string): Promise<number> {
  const { dataDir } = configuration;
  const { replaced, brokenAuditSeq } = await restoreCatalog(dataDir, resolve(file), now());
  if (brokenAuditSeq !== undefined) {
    output.warn(`Its audit was changed: entry ${brokenAuditSeq} is not as it was written. Find out who could do that.`);
  }
  const kept = replaced === undefined ? '' : ` The one that was there is kept as ${replaced}.`;
  output.result(
    { dataDir, replaced: replaced ?? null, brokenAuditSeq: brokenAuditSeq ?? null },
    `The catalog is back in ${dataDir}.${kept} Agents send again what it has missed once the server runs. Keys and agents that were revoked since hold again: revoke them anew.`,
  );
  return 0;
}
