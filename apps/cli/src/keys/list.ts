import type { Key } from '@strideiq/control-plane/router';
import { table } from '@strideiq/terminal';
import { listAll } from '../connection/pages.ts';
import { listed } from '../listed.ts';
import { momentText } from '../moments.ts';
import type { Command } from '../run-command.ts';

/** `keys list` */
export async function listKeys({ client, output, now }: Command): Promise<number> {
  const found = await listAll(async (page) => client.keys.list.query(page));
  return listed(output, found, { kind: 'key', text: (items) => keysTable(items, now()) });
}

export function keysTable(items: readonly Key[], now: number): string {
  return table(
    ['NAME', 'ROLE', 'ENVIRONMENTS', 'STATE', 'LAST USED', 'ID'],
    items.map((key) => [
      key.name,
      key.role,
      environmentsText(key),
      stateText(key, now),
      momentText(key.lastUsedAt),
      key.id,
    ]),
  );
}

export function environmentsText({ environments }: Pick<Key, 'environments'>): string {
  return environments === null ? 'all' : environments.join(', ');
}

function stateText({ revokedAt, expiresAt }: Key, now: number): string {
  if (revokedAt !== null) return `revoked ${momentText(revokedAt)}`;
  if (expiresAt === null) return 'holds';
  return `${Date.parse(expiresAt) <= now ? 'expired' : 'until'} ${momentText(expiresAt)}`;
}
