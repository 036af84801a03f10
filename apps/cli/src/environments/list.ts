import { table } from '@strideiq/terminal';
import { listAll } from '../connection/pages.ts';
import { listed } from '../listed.ts';
import { momentText } from '../moments.ts';
import type { Command } from '../run-command.ts';

/** `environments` */
export async function environments({ client, output }: Command): Promise<number> {
  const found = await listAll(async (page) => client.environments.list.query(page));
  return listed(output, found, {
    kind: 'environment',
    text: (items) =>
      table(
        ['ENVIRONMENT', 'AGENTS', 'CONNECTED', 'DATABASES', 'SINCE'],
        items.map(({ name, agents, agentsConnected, databases, createdAt }) => [
          name,
          String(agents),
          String(agentsConnected),
          String(databases),
          momentText(createdAt),
        ]),
        [1, 2, 3],
      ),
  });
}
