import { codeOf, paragraphOf } from '@strideiq/core';
import prettyBytes from 'pretty-bytes';
import { runAdopt, type Adopted } from '../adoption/run-adopt.ts';
import { findBackups, type FoundBackup } from '../backups/find-backups.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { AgentError, exitCodeOf } from '../errors.ts';
import { planCopies } from '../retention/plan-copies.ts';
import { clearFirst } from './clear-first.ts';
import { databaseOf, type Command } from './run-command.ts';

/**
 * `adopt NAME`, `adopt --all [--database NAME]`: takes dumps that no agent made into this host's care. Exit code 3 where there is
 * none, 1 where one was left as it is.
 */
export async function adopt(
  command: Command,
  reference: string | undefined,
  options: { all?: boolean; database?: string },
): Promise<number> {
  const { host, output, progress, surroundings } = command;
  const { configuration, journal, key } = host;
  if ((reference === undefined) === (options.all !== true)) {
    throw new AgentError('UsageInvalid', 'Which dump?', 'Say its name as `strideiq-agent list` shows it, or --all.');
  }
  const database = databaseOf(configuration, options.database, 'Say which with --database.');
  await clearFirst(command, database);
  let code = 0;
  for (const backup of await adoptable(command, database, reference)) {
    const databaseId = host.databaseIdOf(database);
    const request = { environment: configuration.environment, database: database.name, databaseId, backup };
    try {
      const { now, signal } = surroundings;
      const adopted = await runAdopt(request, { journal, key, now, progress, signal });
      output.item(told(adopted), describe(adopted));
      for (const problem of adopted.problems) output.problem(problem);
      if (adopted.problems.length > 0) code = 1;
    } catch (error) {
      surroundings.signal.throwIfAborted();
      const failed = { code: codeOf(error), message: paragraphOf(error) };
      if (output.json) output.item({ name: backup.names.dump, error: failed }, '');
      output.problem(failed.message);
      code = exitCodeOf(error);
    }
  }
  await sayWhatGoes(command, database);
  return code;
}

/** @throws AgentError `BackupNotFound` where there is none, or the one that was named has a manifest */
async function adoptable(
  { host, output }: Command,
  database: DatabaseConfiguration,
  reference: string | undefined,
): Promise<FoundBackup[]> {
  const found = await findBackups(await host.storesOf(database), ({ name, store }, error) =>
    output.warn(`${name} (${store.location}) was not asked: ${paragraphOf(error)}`),
  );
  const wanted = reference?.replace(/\.sql\.gz$/, '');
  const named = found.filter(({ names }) => wanted === undefined || names.stem === wanted);
  const form = `${database.name}_YYYYMMDD_HHMMSS.sql.gz, by which it is known when its data are of (UTC)`;
  if (wanted !== undefined && named.length === 0) {
    throw new AgentError(
      'BackupNotFound',
      `The stores of ${database.name} hold no ${wanted}.sql.gz that can be taken in.`,
      `It has to stand in one of them under a name like ${form}.`,
    );
  }
  const without = named.filter(
    ({ database: name, copies }) =>
      name === database.name &&
      copies.every(({ hasManifest }) => !hasManifest) &&
      copies.some(({ sizeBytes }) => sizeBytes !== undefined),
  );
  if (without.length > 0) return without.toReversed();
  const why =
    wanted === undefined
      ? `No dump in the stores of ${database.name} lacks a manifest`
      : named.some(({ database: name }) => name !== database.name)
        ? `${wanted} is named after another database than ${database.name}`
        : `${wanted} has a manifest already`;
  throw new AgentError('BackupNotFound', `${why}: there is nothing to take in.`, `What can be is named ${form}.`);
}

function told({ runId, backupId, manifest, copies, problems }: Adopted) {
  const { object, tables, snapshot } = manifest;
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  return { runId, backupId, ...object, rows, tables: tables.length, takenAt: snapshot.takenAt, copies, problems };
}

function describe({ backupId, manifest: { object, tables, snapshot }, copies }: Adopted): string {
  const rows = tables.reduce((sum, table) => sum + table.rows, 0).toLocaleString('en');
  const where = copies.map(({ store }) => store).join(', ');
  return `adopted   ${object.name} in ${where}\n  ${prettyBytes(object.bytes)}, ${rows} rows of ${tables.length} tables, of ${snapshot.takenAt}; id ${backupId}`;
}

/** Retention counts them from now on, and those that are old are gone soon: that is better known before than after. */
async function sayWhatGoes({ host, output }: Command, database: DatabaseConfiguration): Promise<void> {
  for (const { opened, plan, isMass } of await planCopies(host, database)) {
    const { length } = plan.remove;
    if (length === 0) continue;
    const then = isMass ? 'once somebody says so, since they are many' : 'the next time';
    output.note(
      `note: retention removes ${length} of the ${length + plan.keep.length} copies in ${opened.name} ${then}; \`strideiq-agent prune --dry-run\` shows which`,
    );
  }
}
