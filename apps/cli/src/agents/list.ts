import type { Agent } from '@strideiq/control-plane/router';
import { durationText, table } from '@strideiq/terminal';
import { listAll } from '../connection/pages.ts';
import { listed, type ListOptions } from '../listed.ts';
import { momentText } from '../moments.ts';
import type { Command } from '../run-command.ts';

/** `agents` */
export async function agents({ client, output }: Command, { environment }: ListOptions): Promise<number> {
  const filter = environment === undefined ? {} : { environment };
  const found = await listAll(async (page) => client.agents.list.query({ ...page, ...filter }));
  return listed(output, found, { kind: 'agent', text: agentsTable });
}

export function agentsTable(items: readonly Agent[]): string {
  return table(
    ['HOST', 'ENVIRONMENT', 'STATE', 'LAST SEEN', 'CLOCK', 'VERSION', 'ID'],
    items.map((agent) => [
      agent.hostname,
      agent.environment,
      agent.revoked ? 'revoked' : agent.connected ? 'connected' : 'away',
      momentText(agent.lastSeenAt),
      clockText(agent.clockOffsetMs),
      agent.version,
      agent.id,
    ]),
  );
}

/** Less than this comes from the way there and back. */
const unremarkableMs = 2000;

function clockText(offsetMs: number | null): string {
  if (offsetMs === null) return '-';
  if (Math.abs(offsetMs) < unremarkableMs) return 'ok';
  return `${durationText(Math.abs(offsetMs))} ${offsetMs > 0 ? 'fast' : 'slow'}`;
}
