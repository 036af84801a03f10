import { confirmName } from '@strideiq/terminal';
import { CliError } from '../errors.ts';
import { findAgent } from '../names/find-agent.ts';
import { findBackup, neededFor } from '../names/find-backup.ts';
import { databaseName, findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';
import { onlyOnce, started } from '../runs/started.ts';
import { isFile, restoreFile } from '../uploads/restore-file.ts';

export interface RestoreOptions {
  into?: string;
  inPlace?: boolean;
  over?: string;
  yes?: boolean;
  safetyBackup?: boolean;
  table?: string[];
  database?: string;
  agent?: string;
  via?: string;
  watch?: boolean;
}

/**
 * `restore BACKUP|latest --into NAME [--table NAME] [--agent AGENT] [--via DATABASE]`: into a new database; or
 * `--in-place [--over DATABASE]`: in the place of one. In place of a backup also a dump of this machine: `./dump.sql.gz`.
 */
export async function restore(command: Command, reference: string, options: RestoreOptions): Promise<number> {
  checkOptions(options);
  const { into, database, table, watch = false } = options;
  if (isFile(reference)) {
    checkFileOptions(options);
    return restoreFile(command, reference, { into: into ?? '', database, table, watch });
  }
  return into === undefined
    ? restoreInPlace(command, reference, options)
    : restoreInto(command, reference, { ...options, into });
}

/** @throws CliError `UsageInvalid` */
function checkFileOptions({ inPlace = false, agent, via }: RestoreOptions): void {
  if (!inPlace && (agent ?? via) === undefined) return;
  throw new CliError(
    'UsageInvalid',
    'A file goes into a new database, on the server of the database that --database names.',
    'Leave out --in-place, --agent and --via.',
  );
}

/** @throws CliError `UsageInvalid` */
function checkOptions({ into, inPlace = false, over, safetyBackup = true, table, agent, via }: RestoreOptions): void {
  const wrong = (what: string, cure: string) => new CliError('UsageInvalid', what, cure);
  if (into === undefined && !inPlace) {
    throw wrong(
      'Restore into which database?',
      'Name a new one with --into NAME, or replace the one that is there with --in-place.',
    );
  }
  if (into !== undefined && inPlace) throw wrong('--into stands beside --in-place.', 'Leave one of them out.');
  if (inPlace && (table ?? agent ?? via) !== undefined) {
    throw wrong(
      '--in-place replaces a whole database, on the host that looks after it.',
      'Leave out --table, --agent and --via; --over names another database than that of the backup.',
    );
  }
  if (!inPlace && (over !== undefined || !safetyBackup)) {
    throw wrong('--over and --no-safety-backup are for --in-place.', 'Leave them out, or say --in-place.');
  }
}

async function restoreInto(
  command: Command,
  reference: string,
  options: RestoreOptions & { into: string },
): Promise<number> {
  const { client, output } = command;
  const { into, table, watch = false } = options;
  const source = await sourceOf(command, reference, options.database);
  const via = options.via === undefined ? undefined : await findDatabase(client, options.via);
  const agent = options.agent === undefined ? undefined : await findAgent(client, options.agent);
  const agentId = agent?.id ?? via?.agentId ?? source.database.agentId;
  const { connected, hostname } = await client.agents.get.query({ agentId });
  const asked = await client.restores.create.mutate(
    {
      ...source.named,
      target: {
        agentId,
        database: into,
        ...(table === undefined ? { mode: 'fresh' } : { mode: 'tables', tables: table }),
        ...(via === undefined ? {} : { viaDatabaseId: via.id }),
      },
    },
    onlyOnce(),
  );
  if (!connected) output.note(awayNote(hostname));
  return started(command, asked, { watch, what: `Restore of ${source.text} into ${into} on ${hostname}` });
}

async function restoreInPlace(command: Command, reference: string, options: RestoreOptions): Promise<number> {
  const { client, output } = command;
  const { over, safetyBackup, yes = false, watch = false } = options;
  const source = await sourceOf(command, reference, options.database);
  const replaced = over === undefined ? source.database : await findDatabase(client, over);
  const { connected, hostname } = await client.agents.get.query({ agentId: replaced.agentId });
  const { name } = replaced;
  const what = `Replacing ${databaseName(replaced)} on ${hostname} by ${source.text}`;
  if (!yes) await confirmName(name, what, command.signal);
  const asked = await client.restores.create.mutate(
    {
      ...source.named,
      target: {
        agentId: replaced.agentId,
        mode: 'inPlace',
        database: name,
        ...(safetyBackup === false ? { safetyBackup } : {}),
      },
      confirm: name,
    },
    onlyOnce(),
  );
  if (!connected) output.note(awayNote(hostname));
  return started(command, asked, { watch, what });
}

function awayNote(hostname: string): string {
  return `note: the agent ${hostname} is away; it is asked if it comes back soon, and else the run expires.`;
}

/** What is restored, and the database that it is of. */
async function sourceOf({ client }: Command, reference: string, named: string | undefined) {
  if (reference === 'latest') {
    const database = await findDatabase(client, neededFor(reference, named));
    const latest = { databaseId: database.id, latest: true as const };
    return { named: latest, database, text: `the latest backup of ${databaseName(database)}` };
  }
  const backup = await findBackup(client, reference, named);
  const database = await client.databases.get.query({ databaseId: backup.databaseId });
  return { named: { backupId: backup.id }, database, text: backup.objectName };
}
