import { databaseName, findDatabase } from '../names/find-database.ts';
import { storeIdsOf } from '../names/find-stores.ts';
import type { Command } from '../run-command.ts';
import { onlyOnce, started } from '../runs/started.ts';

/** `backup DATABASE`: a backup now. */
export async function backup(
  command: Command,
  reference: string,
  { store, watch = false }: { store?: string[]; watch?: boolean },
): Promise<number> {
  const { client, output } = command;
  const database = await findDatabase(client, reference);
  const { stores } =
    store === undefined ? { stores: [] } : await client.databases.get.query({ databaseId: database.id });
  const chosen = storeIdsOf(store, stores);
  const asked = await client.backups.create.mutate({ databaseId: database.id, ...chosen }, onlyOnce());
  const name = databaseName(database);
  if (!database.agentConnected) output.note(`note: the agent of ${name} is away; it is asked when it comes back.`);
  return started(command, asked, { watch, what: `Backup of ${name}` });
}
