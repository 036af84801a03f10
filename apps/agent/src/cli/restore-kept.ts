import { confirmName, table } from '@strideiq/terminal';
import prettyBytes from 'pretty-bytes';
import { AgentError } from '../errors.ts';
import { dropKept } from '../in-place/kept-databases.ts';
import { namesOfHost, withKept } from '../in-place/prune-replaced.ts';
import { aloneAtNames } from '../in-place/swap-lock.ts';
import { databaseOf, type Command } from './run-command.ts';

/** `restore kept [DATABASE]`: the databases that restores in place have replaced, and are still there. */
export async function restoreKept(command: Command, name: string | undefined): Promise<number> {
  const database = databaseOf(command.host.configuration, name);
  const kept = await withKept(command.host, database, async (_, all) => all);
  const items = kept.map(({ since, ...rest }) => ({ ...rest, since: new Date(since).toISOString() }));
  const rows = items.map(({ name: called, was, since, bytes }) => [
    called,
    was,
    since,
    bytes === null ? 'not known' : prettyBytes(bytes),
  ]);
  const { days, count } = database.keepReplaced;
  const text =
    items.length === 0
      ? `None is kept of ${database.name}.`
      : `${table(['DATABASE', 'WAS', 'SINCE', 'SIZE'], rows)}\nEach is kept for ${days} days, and ${count} of them at most.`;
  command.output.result({ items }, text);
  return items.length === 0 ? 3 : 0;
}

/** `restore drop NAME`: drops one of them. */
export async function restoreDrop(
  command: Command,
  name: string,
  options: { database?: string; yes?: boolean },
): Promise<number> {
  const database = databaseOf(command.host.configuration, options.database);
  await withKept(command.host, database, async (connection, kept) => {
    const found = kept.find((one) => one.name === name);
    if (!found) {
      throw new AgentError(
        'NothingToUndo',
        `${JSON.stringify(name)} is no database that a restore in place of ${database.name} has kept.`,
        '`strideiq-agent restore kept` lists them; any other database is not for this program to drop.',
      );
    }
    const { signal } = command.surroundings;
    if (options.yes !== true) await confirmName(name, `Dropping the database ${name} for good`, signal);
    await aloneAtNames(namesOfHost(command.host, database), async () => dropKept(connection, found));
  });
  command.output.result({ dropped: [name] }, `Dropped ${name}.`);
  return 0;
}
