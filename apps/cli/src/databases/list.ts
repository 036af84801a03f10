import type { Agent, Database } from '@strideiq/control-plane/router';
import { table } from '@strideiq/terminal';
import prettyBytes from 'pretty-bytes';
import { listAll } from '../connection/pages.ts';
import { listed, type ListOptions } from '../listed.ts';
import { momentText } from '../moments.ts';
import { databaseName } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';

/** `databases` */
export async function databases({ client, output }: Command, { environment }: ListOptions): Promise<number> {
  const filter = environment === undefined ? {} : { environment };
  const [found, { items: agents }] = await Promise.all([
    listAll(async (page) => client.databases.list.query({ ...page, ...filter })),
    listAll(async (page) => client.agents.list.query({ ...page, ...filter })),
  ]);
  return listed(output, found, { kind: 'database', text: (items) => databasesTable(items, agents) });
}

export function databasesTable(items: readonly Database[], agents: readonly Pick<Agent, 'id' | 'hostname'>[]): string {
  const hosts = new Map(agents.map(({ id, hostname }) => [id, hostname]));
  return table(
    ['DATABASE', 'HOST', 'STATE', 'SERVER', 'SIZE', 'LAST BACKUP', 'LAST DRILL', 'ID'],
    items.map((database) => [
      databaseName(database),
      hosts.get(database.agentId) ?? database.agentId,
      stateText(database),
      database.serverVersion ?? '-',
      database.sizeBytes === null ? '-' : prettyBytes(database.sizeBytes),
      momentText(database.lastBackup?.finishedAt ?? null),
      momentText(database.lastDrill?.finishedAt ?? null),
      database.id,
    ]),
    [4],
  );
}

function stateText({ declared, gone, agentConnected, reachable, error }: Database): string {
  if (!declared) return 'no longer named by its host';
  if (gone) return 'its server has it no more';
  if (!agentConnected) return 'agent away';
  if (reachable === false) return `unreachable${error === null ? '' : `: ${error}`}`;
  return 'ok';
}
