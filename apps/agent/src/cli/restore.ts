import { AgentError } from '../errors.ts';
import { runRestore, type RestoreOutcome } from '../restore/run-restore.ts';
import { clearFirst } from './clear-first.ts';
import { sourceOfReference } from './reference.ts';
import type { Command } from './run-command.ts';

/** `restore REF --into NAME`: into a new database. */
export async function restore(
  command: Command,
  reference: string,
  options: { into?: string; database?: string; trustSource?: boolean },
): Promise<number> {
  const { host, output, progress, surroundings } = command;
  const { into } = options;
  if (into === undefined) {
    throw new AgentError('UsageInvalid', 'Restore into which database?', 'Name a new one with --into NAME.');
  }
  const { source, database } = await sourceOfReference(command, reference, options.database);
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
      into,
      trustSource: options.trustSource ?? false,
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
