import { paragraphOf } from '@strideiq/core';
import prettyBytes from 'pretty-bytes';
import { manifestKeyOf } from '../backups/find-backups.ts';
import { resolveReference, type BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { runVerify } from '../verify/run-verify.ts';
import type { Verification } from '../verify/verify-copy.ts';
import { sourceOfReference } from './reference.ts';
import { checkStoreNames, type Command } from './run-command.ts';

/** `verify REF`: reads every byte of every copy back. Exit code 1 where one is not whole, or gone. */
export async function verify(
  command: Command,
  reference: string,
  options: { database?: string; store?: string[] },
): Promise<number> {
  const { host, output, progress, surroundings } = command;
  const { source, database } = await sourceOfReference(command, reference, options.database);
  checkStoreNames(database, options.store);
  const { journal, key, configuration } = host;
  const { now, signal } = surroundings;
  // A path or URL names one copy; everything else names a backup with all of its copies.
  const copies = reference.includes('/')
    ? { sources: [source], missingIn: [], unreachable: 0 }
    : await copiesIn(command, await host.storesOf(database, options.store), source.dumpKey, {
        databaseId: host.databaseIdOf(database),
        namedStores: options.store !== undefined,
      });
  const verifications = await runVerify(
    {
      environment: configuration.environment,
      database: database.name,
      databaseId: host.databaseIdOf(database),
      reference,
      sources: copies.sources,
      missingIn: copies.missingIn,
    },
    { journal, key, now, progress, signal },
  );
  output.result({ copies: verifications }, verifications.map(describe).join('\n'));
  return copies.unreachable === 0 && verifications.every((one) => one.state === 'verified') ? 0 : 1;
}

interface Copies {
  sources: BackupSource[];
  missingIn: { opened: OpenedStore; dumpKey: string }[];
  /** Stores that could not be asked. */
  unreachable: number;
}

/** What each store holds of a backup. One that cannot be asked is said, and the others are verified all the same. */
async function copiesIn(
  { host, output, surroundings }: Command,
  stores: readonly OpenedStore[],
  dumpKey: string,
  { databaseId, namedStores }: { databaseId: string; namedStores: boolean },
): Promise<Copies> {
  const copies: Copies = { sources: [], missingIn: [], unreachable: 0 };
  for (const opened of stores) {
    const { name, store } = opened;
    try {
      if (await store.head(dumpKey)) {
        const copy = await resolveReference(dumpKey, [opened], host.openPlace, surroundings.now());
        copies.sources.push({ ...copy, databaseId });
        continue;
      }
      if (await store.head(manifestKeyOf(dumpKey))) {
        copies.missingIn.push({ opened, dumpKey });
        continue;
      }
    } catch (error) {
      copies.unreachable++;
      output.problem(`${name} (${store.location}) could not be asked: ${paragraphOf(error)}`);
      continue;
    }
    if (namedStores) {
      throw new AgentError(
        'BackupNotFound',
        `The store ${name} (${store.location}) holds no ${dumpKey}.`,
        '`strideiq-agent list` shows which store holds what.',
      );
    }
    output.note(`note: ${name} (${store.location}) holds no copy of this backup`);
  }
  return copies;
}

function describe(one: Verification): string {
  const { state, dumpKey, location, bytes, rawBytes, tables, problems, comparedWith, trusted } = one;
  const rows = tables.reduce((sum, table) => sum + table.rows, 0).toLocaleString('en');
  if (state !== 'verified') {
    return `${state.toUpperCase().padEnd(8)}  ${dumpKey} in ${location}\n${problems.map((text) => `  ${text}`).join('\n')}`;
  }
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
