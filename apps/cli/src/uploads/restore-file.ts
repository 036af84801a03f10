import { basename } from 'node:path';
import prettyBytes from 'pretty-bytes';
import { CliError } from '../errors.ts';
import { databaseName, findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';
import { onlyOnce, started } from '../runs/started.ts';
import { putFile, sizeOfDump } from './put-file.ts';

export interface RestoreFileOptions {
  into: string;
  /** Into whose bucket, and on whose server. */
  database: string | undefined;
  table: string[] | undefined;
  watch: boolean;
}

/**
 * Whether a reference is a file of this machine, and not the name of a backup.
 * @throws CliError `UsageInvalid` where it is neither
 */
export function isFile(reference: string): boolean {
  if (reference.startsWith('s3://')) {
    throw new CliError(
      'UsageInvalid',
      `${reference} is in a bucket, and this machine may not even reach that.`,
      'Restore it on a host: strideiq-agent restore s3://… --into NAME.',
    );
  }
  return reference.includes('/') || reference.includes('\\');
}

/**
 * `restore ./dump.sql.gz --database DATABASE --into NAME`: a local dump goes straight into a bucket of that database, and is
 * restored from there on its host, by a role that is no superuser.
 */
export async function restoreFile(command: Command, path: string, options: RestoreFileOptions): Promise<number> {
  const { client, output, signal } = command;
  const { into, table, watch } = options;
  if (options.database === undefined) {
    throw new CliError('UsageInvalid', 'Restore the file on which server?', 'Name a database of it by --database.');
  }
  const size = await sizeOfDump(path);
  const database = await findDatabase(client, options.database);
  const { hostname } = await client.agents.get.query({ agentId: database.agentId });
  const { storeId, key, url, headers } = await client.uploads.create.mutate({
    databaseId: database.id,
    sizeBytes: size,
  });
  command.secrets.add(url);
  const tell = (sent: number) =>
    output.progress({
      name: `Sending ${basename(path)} to ${new URL(url).host}`,
      fraction: sent / size,
      announced: true,
      details: () => [`${prettyBytes(sent)} of ${prettyBytes(size)}`],
    });
  tell(0);
  await putFile(path, size, { url, headers }, { signal, tell });
  const asked = await client.uploads.restore.mutate(
    { databaseId: database.id, storeId, key, database: into, ...(table === undefined ? {} : { tables: table }) },
    onlyOnce(),
  );
  const where = `${into} on ${hostname}, beside ${databaseName(database)}`;
  return started(command, asked, { watch, what: `Restore of ${basename(path)} into ${where}` });
}
