import { paragraphOf } from '@strideiq/core';
import { table } from '@strideiq/terminal';
import prettyBytes from 'pretty-bytes';
import { findBackups, manifestKeyOf, readManifest, type FoundBackup } from '../backups/find-backups.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import { databaseOfBackups, type Command } from './run-command.ts';

interface Listed {
  id: string | null;
  name: string;
  database: string;
  at: string;
  sizeBytes: number | null;
  rows: number | null;
  /** `incomplete`: a store holds the manifest and no longer the dump. */
  state: 'complete' | 'incomplete' | 'unmanaged' | 'missing' | 'unreadable';
  copies: { store: string; state: 'stored' | 'missing' }[];
}

/** `list [DATABASE]`: what the stores themselves hold. Exit code 3 where that is nothing. */
export async function list({ host, output }: Command, name: string | undefined): Promise<number> {
  const all = Object.values(host.configuration.databases);
  const databases: DatabaseConfiguration[] = name === undefined ? all : [databaseOfBackups(host.configuration, name)];
  const listed: Listed[] = [];
  for (const database of databases) {
    const stores = await host.storesOf(database);
    const backups = await findBackups(stores, ({ name: store, store: { location } }, error) =>
      output.warn(`${store} (${location}) was not asked: ${paragraphOf(error)}`),
    );
    for (const backup of backups) listed.push(await describe(backup));
  }
  if (listed.length === 0) {
    const cure =
      databases.length === 0
        ? 'No database was found on the servers. `strideiq-agent list NAME` looks for the backups of one that they have no more.'
        : '`strideiq-agent backup` makes one.';
    throw new AgentError('BackupNotFound', 'The stores hold no backup.', cure);
  }
  const rows = listed.map((one) => [
    one.at.replace('T', ' ').replace('.000Z', ' UTC'),
    one.name,
    one.sizeBytes === null ? '-' : prettyBytes(one.sizeBytes),
    one.rows === null ? '-' : one.rows.toLocaleString('en'),
    one.state,
    one.copies.map(({ store, state }) => (state === 'stored' ? store : `${store} (missing)`)).join(', '),
    one.id ?? '-',
  ]);
  output.result({ items: listed }, table(['TIME', 'NAME', 'SIZE', 'ROWS', 'STATE', 'STORES', 'ID'], rows, [2, 3]));
  return 0;
}

async function describe(backup: FoundBackup): Promise<Listed> {
  const { names, database, at, copies } = backup;
  const present = copies.filter((copy) => copy.sizeBytes !== undefined);
  const managed = copies.find((copy) => copy.hasManifest);
  const found = managed
    ? await readManifest(managed.opened, manifestKeyOf(managed.dumpKey)).catch(() => undefined)
    : undefined;
  const state = stateOf(copies.length, present.length, managed !== undefined, found !== undefined);
  return {
    id: found?.manifest.backupId ?? null,
    name: names.stem,
    database,
    at: at.toISOString(),
    sizeBytes: present[0]?.sizeBytes ?? null,
    rows: found?.manifest.tables.reduce((sum, each) => sum + each.rows, 0) ?? null,
    state,
    copies: copies.map(({ opened, sizeBytes }) => ({
      store: opened.name,
      state: sizeBytes === undefined ? 'missing' : 'stored',
    })),
  };
}

function stateOf(copies: number, present: number, managed: boolean, readable: boolean): Listed['state'] {
  if (present === 0) return 'missing';
  if (!managed) return 'unmanaged';
  if (!readable) return 'unreadable';
  return present < copies ? 'incomplete' : 'complete';
}
