import type { Delivery, ShownChannel } from '@strideiq/control-plane/router';
import { table } from '@strideiq/terminal';
import { listAll } from '../connection/pages.ts';
import { listed } from '../listed.ts';
import { momentText } from '../moments.ts';
import type { Command } from '../run-command.ts';

/** `channels`: where alerts are told, and whether that arrives. Exit code 1 where it does not. */
export async function channels({ client, output }: Command): Promise<number> {
  const { items } = await client.channels.overview.query({});
  if (items.length === 0) {
    if (output.json) output.result({ items }, '');
    output.note(
      'There is no channel: nobody is told of alerts. Name one under `channels` in the control plane’s file.',
    );
    return 3;
  }
  output.result({ items }, channelsTable(items));
  for (const { name, problem } of items) if (problem !== null) output.problem(`${name}: ${problem}`);
  return items.some(({ problem }) => problem !== null) ? 1 : 0;
}

export function channelsTable(items: readonly ShownChannel[]): string {
  return table(
    ['CHANNEL', 'TYPE', 'ENVIRONMENTS', 'FROM', 'RULES', 'DIGEST', 'LAST ARRIVED', 'WAITING'],
    items.map(({ name, type, environments, severity, rules, digest, lastSentAt, waiting }) => [
      name,
      type,
      environments?.join(', ') ?? 'all',
      severity,
      rules?.join(', ') ?? 'all',
      digest === null ? '-' : `${digest.schedule} (${digest.timezone})`,
      lastSentAt === null ? 'never' : momentText(lastSentAt),
      String(waiting),
    ]),
    [7],
  );
}

/** `channels test NAME`: sends a message, and says whether it arrived. */
export async function testChannel({ client, output }: Command, name: string): Promise<number> {
  const { id } = await client.channels.test.mutate({ name });
  output.result({ channel: name, id }, `A test message has arrived at ${name}.`);
  return 0;
}

/** `channels deliveries NAME`: the messages to a channel, the newest first. */
export async function deliveries(
  { client, output }: Command,
  name: string,
  { limit }: { limit?: number },
): Promise<number> {
  const found = await listAll(async (page) => client.channels.deliveries.query({ ...page, name }), limit);
  return listed(output, found, { kind: `message to ${name}`, text: deliveriesTable });
}

export function deliveriesTable(items: readonly Delivery[]): string {
  return table(
    ['TIME', 'KIND', 'STATE', 'ATTEMPTS', 'TITLE', 'ERROR'],
    items.map(({ createdAt, kind, state, attempts, title, error }) => [
      momentText(createdAt),
      kind,
      state,
      String(attempts),
      title,
      error ?? '-',
    ]),
    [3],
  );
}
