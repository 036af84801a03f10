import { findAgent } from '../names/find-agent.ts';
import { findBackup } from '../names/find-backup.ts';
import { databaseName, findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';
import { onlyOnce, started } from '../runs/started.ts';

export interface DrillOptions {
  backup?: string;
  agent?: string;
  via?: string;
  watch?: boolean;
}

/** `drill DATABASE [--backup BACKUP] [--agent AGENT] [--via DATABASE]`: a test restore, dropped again. */
export async function drill(command: Command, reference: string, options: DrillOptions): Promise<number> {
  const { client } = command;
  const database = await findDatabase(client, reference);
  const backup = options.backup === undefined ? undefined : await findBackup(client, options.backup, reference);
  const via = options.via === undefined ? undefined : await findDatabase(client, options.via);
  const agent = options.agent === undefined ? undefined : await findAgent(client, options.agent);
  const agentId = agent?.id ?? via?.agentId;
  const asked = await client.drills.create.mutate(
    {
      ...(backup === undefined ? { databaseId: database.id } : { backupId: backup.id }),
      ...(agentId === undefined ? {} : { agentId }),
      ...(via === undefined ? {} : { viaDatabaseId: via.id }),
    },
    onlyOnce(),
  );
  const what = `Drill of ${backup?.objectName ?? `the latest backup of ${databaseName(database)}`}`;
  return started(command, asked, { watch: options.watch ?? false, what });
}
