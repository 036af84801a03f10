import { AgentError } from '../errors.ts';
import { runRestore, type RestoreOutcome } from '../restore/run-restore.ts';
import type { Wanted } from '../restore/selection.ts';
import { keepStandardInput } from '../restore/standard-input.ts';
import { clearFirst } from './clear-first.ts';
import { sourceOfReference } from './reference.ts';
import type { Command } from './run-command.ts';

export interface RestoreOptions {
  into?: string;
  database?: string;
  trustSource?: boolean;
  jobs?: 'auto' | number;
  toastCompression?: string;
  analyze?: boolean;
  table?: string[];
  rowsOnly?: boolean;
  schemaOnly?: boolean;
}

/** `restore REF --into NAME`: into a new database. */
export async function restore(command: Command, reference: string, options: RestoreOptions): Promise<number> {
  const { into } = options;
  if (into === undefined) {
    throw new AgentError('UsageInvalid', 'Restore into which database?', 'Name a new one with --into NAME.');
  }
  const asked = { wanted: wantedOf(options), jobs: options.jobs === 'auto' ? undefined : options.jobs, into };
  if (reference !== '-') return restoreFrom(command, reference, reference, { ...options, ...asked });
  const { host, surroundings } = command;
  const kept = await keepStandardInput(
    process.stdin,
    host.configuration.stateDir,
    surroundings.now(),
    surroundings.signal,
  );
  try {
    return await restoreFrom(command, kept.path, reference, { ...options, ...asked });
  } finally {
    await kept.remove();
  }
}

type Asked = Omit<RestoreOptions, 'jobs'> & { wanted: Wanted | undefined; jobs: number | undefined; into: string };

/** @param place REF, or the file that stands for it */
async function restoreFrom(command: Command, place: string, reference: string, options: Asked): Promise<number> {
  const { host, output, progress, surroundings } = command;
  const { source, database } = await sourceOfReference(command, place, options.database);
  await clearFirst(command, database);
  if (database.hooks.afterRestore.length > 0) {
    output.warn('hooks.afterRestore is not run by this version: the database will be as the backup has it, unmasked.');
  }
  const began = performance.now();
  const outcome = await runRestore(
    {
      environment: host.configuration.environment,
      database: database.name,
      databaseId: host.databaseIdOf(database),
      source,
      reference,
      maintenance: await host.maintenanceOf(database),
      into: options.into,
      trustSource: options.trustSource ?? false,
      wanted: options.wanted,
      jobs: options.jobs,
      analyze: options.analyze,
      toastCompression: toastCompressionOf(options.toastCompression),
    },
    {
      journal: host.journal,
      key: host.key,
      now: surroundings.now,
      progress,
      signal: surroundings.signal,
    },
  );
  for (const note of outcome.notes) output.note(`note: ${note}`);
  output.result(
    { ...outcome, source: { name: source.dumpKey, location: source.opened.store.location } },
    describe(outcome, source.dumpKey, (performance.now() - began) / 1000),
  );
  return 0;
}

/** @throws AgentError `UsageInvalid` where the options contradict each other */
function wantedOf({ table = [], rowsOnly = false, schemaOnly = false }: RestoreOptions): Wanted | undefined {
  if (schemaOnly && (table.length > 0 || rowsOnly)) {
    throw new AgentError(
      'UsageInvalid',
      '--schema-only stands beside --table or --rows-only.',
      'It restores all definitions and no rows; leave one of them out.',
    );
  }
  if (rowsOnly && table.length === 0) {
    throw new AgentError(
      'UsageInvalid',
      '--rows-only was given without --table.',
      'Name the tables whose rows are wanted without indexes and keys: --table schema.name, as often as needed.',
    );
  }
  return schemaOnly || table.length > 0 ? { tables: table, postData: !rowsOnly } : undefined;
}

/** @throws AgentError `UsageInvalid` */
function toastCompressionOf(given: string | undefined): string | undefined {
  if (given === undefined || given === 'pglz' || given === 'lz4') return given;
  throw new AgentError(
    'UsageInvalid',
    `--toast-compression takes pglz or lz4, not ${JSON.stringify(given)}.`,
    'Leave it out to have values stored as the server does by itself.',
  );
}

function describe(outcome: RestoreOutcome, name: string, seconds: number): string {
  const { into, tables, objects, privileges, notes } = outcome;
  const rows = tables.reduce((sum, table) => sum + table.found, 0).toLocaleString('en');
  const compared = objects > 0 ? `, and ${objects} objects agree with the manifest` : '';
  return [
    `Restored ${name} into ${into} in ${seconds.toFixed(1)} s`,
    `  ${rows} rows of ${tables.length} tables, each table's count equal to the backup's${compared}`,
    privileges
      ? `  Owners, grants and settings are as in the backup${notes.length > 0 ? ', but for what is noted above' : ''}.`
      : '  Everything belongs to the role that restored it.',
  ].join('\n');
}
