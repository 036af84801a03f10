import { codeOf, paragraphOf } from '@strideiq/core';
import { memberCompressor } from '@strideiq/dump';
import prettyBytes from 'pretty-bytes';
import type { BackupOutcome } from '../backup/backup-request.ts';
import { NoCopyError } from '../backup/copies.ts';
import { runBackup } from '../backup/run-backup.ts';
import type { BackupSource } from '../backups/resolve-reference.ts';
import { resolveReference } from '../backups/resolve-reference.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { AgentError, exitCodeOf } from '../errors.ts';
import { pruneReplaced } from '../in-place/prune-replaced.ts';
import type { CopyOutcome } from '../journal/schema.ts';
import { pruneByItself } from '../retention/prune-copies.ts';
import { reportCopy } from '../verify/report-copy.ts';
import { verifyCopy, type Verification } from '../verify/verify-copy.ts';
import { clearFirst } from './clear-first.ts';
import { checkStoreNames, databaseOf, type Command } from './run-command.ts';

export interface BackupOptions {
  all?: boolean;
  verify?: boolean;
  store?: string[];
  jobs?: 'auto' | number;
  retention?: number;
}

/** `backup [DATABASE | --all] [--verify] [--store NAME] [--jobs N] [--retention DAYS]` */
export async function backup(command: Command, name: string | undefined, options: BackupOptions): Promise<number> {
  const { host, output } = command;
  if (options.all === true) return backupAll(command, name, options);
  const database = databaseOf(host.configuration, name, 'Name one of them, or say --all.');
  const tellFailure = (error: unknown, details: object) => output.failure(codeOf(error), paragraphOf(error), details);
  return backupOne(command, database, options, { tell: output.result.bind(output), tellFailure });
}

/** One after another; exit code 1 where one of them failed. */
async function backupAll(command: Command, name: string | undefined, options: BackupOptions): Promise<number> {
  const { host, output, surroundings } = command;
  if (name !== undefined) {
    throw new AgentError('UsageInvalid', `${name} stands beside --all.`, 'Keep one of the two.');
  }
  const all = Object.values(host.configuration.databases).filter(({ goneSince }) => goneSince === undefined);
  if (all.length === 0) {
    throw new AgentError('UsageInvalid', 'There is no database.', '`strideiq-agent doctor` says what was found where.');
  }
  let worst = 0;
  for (const database of all) {
    const tellFailure = (error: unknown, details: object) => {
      const failed = { code: codeOf(error), message: paragraphOf(error) };
      if (output.json) output.item({ database: database.name, error: failed, ...details }, '');
      output.problem(`${database.name}: ${failed.message}`);
    };
    try {
      const code = await backupOne(command, database, options, { tell: output.item.bind(output), tellFailure });
      worst = Math.max(worst, code);
    } catch (error) {
      surroundings.signal.throwIfAborted();
      tellFailure(error, {});
      worst = Math.max(worst, exitCodeOf(error));
    }
    surroundings.signal.throwIfAborted();
  }
  return worst === 0 || worst === 130 ? worst : 1;
}

/** How a backup is told of. */
interface Tell {
  tell: (document: unknown, text: string) => void;
  tellFailure: (error: unknown, details: object) => void;
}

async function backupOne(
  command: Command,
  database: DatabaseConfiguration,
  options: BackupOptions,
  { tell, tellFailure }: Tell,
): Promise<number> {
  const { host, output, progress, surroundings } = command;
  checkStoreNames(database, options.store);
  await clearFirst(command, database);
  const request = await host.backupRequest(database, options.store, options.jobs);
  const { journal, key } = host;
  const { now, signal } = surroundings;
  let outcome: BackupOutcome;
  try {
    outcome = await runBackup(request, { journal, key, now, progress, signal });
  } catch (error) {
    if (!(error instanceof NoCopyError)) throw error;
    tellFailure(error, { copies: error.copies });
    return 1;
  }
  for (const warning of outcome.warnings) output.warn(warning);
  for (const line of await pruneReplaced(host, database)) output.note(line);
  const verifications: Verification[] = [];
  if (options.verify) {
    for (const opened of request.stores) {
      const copy = outcome.copies.find(({ store, state }) => store === opened.name && state === 'stored');
      if (!copy) continue;
      const source: BackupSource = await resolveReference(copy.dumpKey, [opened], host.openPlace, now());
      const verification = await verifyCopy(source, { key, journal, progress, signal });
      const { databaseId } = request;
      reportCopy(journal, { databaseId, backupId: outcome.backupId, manifest: undefined }, verification, opened);
      verifications.push(verification);
    }
  }
  if (options.retention !== undefined) {
    // Only where this one is, and is not known to be bad.
    const good = outcome.copies.filter(
      ({ store, state }) =>
        state === 'stored' && !verifications.some((one) => one.store === store && one.state === 'corrupt'),
    );
    const only = good.map(({ storeId }) => storeId);
    const { notes, warnings } = await pruneByItself(host, database, { only, usualDays: options.retention });
    for (const note of notes) output.note(note);
    for (const warning of warnings) output.warn(warning);
  }
  const failed = outcome.copies.filter((copy) => copy.state === 'failed');
  const corrupt = verifications.filter((one) => one.state === 'corrupt');
  const { runId, backupId, manifest, copies, warnings } = outcome;
  const { object, startedAt, finishedAt } = manifest;
  const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
  tell(
    {
      runId,
      backupId,
      database: database.name,
      ...object,
      rows,
      tables: manifest.tables.length,
      startedAt,
      finishedAt,
      copies,
      verifications,
      warnings,
      compressor: (await memberCompressor()).name,
    },
    describe(outcome, rows, verifications),
  );
  for (const copy of failed) output.problem(`the copy in ${copy.store} (${copy.location}) failed: ${copy.error}`);
  for (const one of corrupt) output.problem(`the copy in ${one.store} is corrupt: ${one.problems.join('; ')}`);
  if (failed.some((copy) => copy.errorCode === 'Interrupted')) return 130;
  return failed.length + corrupt.length > 0 ? 1 : 0;
}

function describe({ manifest, copies, backupId }: BackupOutcome, rows: number, verifications: Verification[]): string {
  const { object, tables, startedAt, finishedAt } = manifest;
  const seconds = (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000;
  const lines = [
    `Backup ${object.name}`,
    `  id       ${backupId}`,
    `  holds    ${rows.toLocaleString('en')} rows of ${tables.length} tables, ${prettyBytes(object.rawBytes)} of SQL`,
    `  size     ${prettyBytes(object.bytes)} in ${seconds.toFixed(1)} s`,
    `  sha256   ${object.sha256}`,
    ...copies.map((copy) => `  ${copy.state.padEnd(8)} ${copyText(copy, verifications)}`),
  ];
  return lines.join('\n');
}

function copyText(copy: CopyOutcome, verifications: Verification[]): string {
  const verified = verifications.find(({ store }) => store === copy.store);
  return `${copy.store}: ${copy.location}${verified ? ` (${verified.state}: read back whole)` : ''}`;
}
