import prettyBytes from 'pretty-bytes';
import { resolveReference, type BackupSource } from '../backups/resolve-reference.ts';
import { runVerify } from '../verify/run-verify.ts';
import type { Verification } from '../verify/verify-copy.ts';
import { sourceOfReference } from './reference.ts';
import type { Command } from './run-command.ts';

/** `verify REF`: reads every byte of every copy back. Exit code 1 where one is not whole. */
export async function verify(
  command: Command,
  reference: string,
  options: { database?: string; store?: string[] },
): Promise<number> {
  const { host, output, surroundings } = command;
  const { source, database } = await sourceOfReference(command, reference, options.database);
  const { journal, key, configuration } = host;
  const { now, signal } = surroundings;
  const sources: BackupSource[] = [];
  // A path or URL names one copy; everything else names a backup with all of its copies.
  const stores = reference.includes('/') ? [] : await host.storesOf(database, options.store);
  for (const opened of stores) {
    if (await opened.store.head(source.dumpKey)) {
      sources.push(await resolveReference(source.dumpKey, [opened], host.openPlace, now()));
    }
  }
  const verifications = await runVerify(
    {
      environment: configuration.environment,
      database: database.name,
      databaseId: host.databaseIdOf(database),
      reference,
      sources: sources.length > 0 ? sources : [source],
    },
    { journal, key, now, progress: output.progress, signal },
  );
  output.result({ copies: verifications }, verifications.map(describe).join('\n'));
  return verifications.some((one) => one.state === 'corrupt') ? 1 : 0;
}

function describe(one: Verification): string {
  const { state, dumpKey, location, bytes, rawBytes, tables, problems, comparedWith, trusted } = one;
  const rows = tables.reduce((sum, table) => sum + table.rows, 0).toLocaleString('en');
  if (state === 'corrupt')
    return `CORRUPT   ${dumpKey} in ${location}\n${problems.map((text) => `  ${text}`).join('\n')}`;
  const against =
    comparedWith === 'manifest'
      ? 'checksum, gzip, closing line, index and row counts agree with the manifest'
      : 'gzip and closing line are whole; it has no manifest to compare with';
  const stranger =
    comparedWith === 'manifest' && !trusted
      ? '\n  Its manifest was not written by this host: restoring it as a superuser needs --trust-source.'
      : '';
  return `verified  ${dumpKey} in ${location}\n  ${prettyBytes(bytes)}, ${prettyBytes(rawBytes)} of SQL, ${rows} rows of ${tables.length} tables: ${against}${stranger}`;
}
