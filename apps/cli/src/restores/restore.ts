import { CliError } from '../errors.ts';
import { findAgent } from '../names/find-agent.ts';
import { findBackup, neededFor } from '../names/find-backup.ts';
import { databaseName, findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';
import { onlyOnce, started } from '../runs/started.ts';

export interface RestoreOptions {
  into?: string;
  database?: string;
  agent?: string;
  via?: string;
  watch?: boolean;
}

/** `restore BACKUP|latest --into NAME [--agent AGENT] [--via DATABASE]`: into a new database. */
export async function restore(command: Command, reference: string, options: RestoreOptions): Promise<number> {
  const { client, output } = command;
  const { into, watch = false } = options;
  if (into === undefined) {
    throw new CliError('UsageInvalid', 'Restore into which database?', 'Name a new one with --into NAME.');
  }
  const source = await sourceOf(command, reference, options.database);
  const via = options.via === undefined ? undefined : await findDatabase(client, options.via);
  const agent = options.agent === undefined ? undefined : await findAgent(client, options.agent);
  const agentId = agent?.id ?? via?.agentId ?? source.agentId;
  const { connected, hostname } = await client.agents.get.query({ agentId });
  const asked = await client.restores.create.mutate(
    {
      ...source.named,
      target: {
        agentId,
        mode: 'fresh',
        database: into,
        ...(via === undefined ? {} : { viaDatabaseId: via.id }),
      },
    },
    onlyOnce(),
  );
  if (!connected) output.note(`note: the agent ${hostname} is away; it is asked when it comes back.`);
  return started(command, asked, { watch, what: `Restore of ${source.text} into ${into} on ${hostname}` });
}

/** What is restored, and the agent that does it where none is named: the one that looks after that database. */
async function sourceOf({ client }: Command, reference: string, database: string | undefined) {
  if (reference === 'latest') {
    const found = await findDatabase(client, neededFor(reference, database));
    const named = { databaseId: found.id, latest: true as const };
    return { named, agentId: found.agentId, text: `the latest backup of ${databaseName(found)}` };
  }
  const backup = await findBackup(client, reference, database);
  const { agentId } = await client.databases.get.query({ databaseId: backup.databaseId });
  return { named: { backupId: backup.id }, agentId, text: backup.objectName };
}
