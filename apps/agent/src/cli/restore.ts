import { confirmName } from '@strideiq/terminal';
import type { BackupSource } from '../backups/resolve-reference.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import { inPlaceRequest } from '../in-place/in-place-request.ts';
import { pruneReplaced } from '../in-place/prune-replaced.ts';
import { runSafetyBackup } from '../in-place/safety-backup.ts';
import { planInPlace, runInPlace, type InPlaceOutcome } from '../in-place/run-in-place.ts';
import { runIntoLive, type IntoLiveOutcome } from '../into-live/run-into-live.ts';
import type { RestoreDependencies, RestoreOutcome, RestoreRequest } from '../restore/restore-request.ts';
import { planRestore, runRestore } from '../restore/run-restore.ts';
import type { Wanted } from '../restore/selection.ts';
import { keepStandardInput } from '../restore/standard-input.ts';
import { clearFirst } from './clear-first.ts';
import { sourceOfReference } from './reference.ts';
import { describePlan } from './restore-plan.ts';
import type { Command } from './run-command.ts';

export interface RestoreOptions {
  into?: string;
  intoSchema?: string;
  replaceRows?: boolean;
  inPlace?: boolean;
  dryRun?: boolean;
  yes?: boolean;
  safetyBackup?: boolean;
  acceptExcluded?: boolean;
  database?: string;
  trustSource?: boolean;
  jobs?: 'auto' | number;
  toastCompression?: string;
  analyze?: boolean;
  table?: string[];
  rowsOnly?: boolean;
  schemaOnly?: boolean;
}

/**
 * `restore REF --into NAME` into a new database, or `--in-place` in the place of the one that is there; of some tables also
 * `--into-schema NAME` beside those of the live database, or `--replace-rows` in the place of their rows.
 */
export async function restore(command: Command, reference: string, options: RestoreOptions): Promise<number> {
  const wanted = wantedOf(options);
  checkTarget(options, wanted);
  const asked = { ...options, wanted, jobs: options.jobs === 'auto' ? undefined : options.jobs };
  if (reference !== '-') return restoreFrom(command, reference, reference, asked);
  const { host, surroundings } = command;
  const kept = await keepStandardInput(
    process.stdin,
    host.configuration.stateDir,
    surroundings.now(),
    surroundings.signal,
  );
  try {
    return await restoreFrom(command, kept.path, reference, asked);
  } finally {
    await kept.remove();
  }
}

/** @throws AgentError `UsageInvalid` */
function checkTarget(options: RestoreOptions, wanted: Wanted | undefined): void {
  const { into, intoSchema, inPlace = false, replaceRows = false, dryRun = false } = options;
  const places = { '--into': into !== undefined, '--into-schema': intoSchema !== undefined };
  const all = Object.entries({ ...places, '--in-place': inPlace, '--replace-rows': replaceRows });
  const given = all.filter(([, isGiven]) => isGiven).map(([name]) => name);
  if (given.length !== 1) {
    throw new AgentError(
      'UsageInvalid',
      given.length === 0 ? 'Restore into which database?' : `${given[0]} stands beside ${given[1]}.`,
      'Name a new one with --into NAME; or say --in-place to replace the one that is there, which is kept under another name. Tables can also go beside the live ones with --into-schema NAME, or replace their rows with --replace-rows.',
    );
  }
  if ((intoSchema !== undefined || replaceRows) && (wanted === undefined || wanted.tables.length === 0)) {
    throw new AgentError(
      'UsageInvalid',
      `${given[0]} was given without --table.`,
      'Name the tables that are wanted: --table schema.name, as often as needed.',
    );
  }
  if ((intoSchema !== undefined || replaceRows) && dryRun) {
    throw new AgentError(
      'UsageInvalid',
      `--dry-run stands beside ${given[0]}.`,
      'It tells of --into and --in-place alone.',
    );
  }
  if (inPlace && wanted) {
    throw new AgentError(
      'UsageInvalid',
      '--in-place replaces a whole database, and a part of the backup was asked for.',
      'Restore the part into a new database with --into, and take from it what is needed.',
    );
  }
}

type Asked = Omit<RestoreOptions, 'jobs'> & { wanted: Wanted | undefined; jobs: number | undefined };

/** @param place REF, or the file that stands for it */
async function restoreFrom(command: Command, place: string, reference: string, options: Asked): Promise<number> {
  const { host, progress, surroundings } = command;
  const { source, database } = await sourceOfReference(command, place, options.database);
  if (options.dryRun !== true) await clearFirst(command, database);
  const request: RestoreRequest = {
    environment: host.configuration.environment,
    database: database.name,
    databaseId: host.databaseIdOf(database),
    source,
    reference,
    maintenance: await host.maintenanceOf(database),
    trustSource: options.trustSource ?? false,
    hooks: database.hooks,
    wanted: options.wanted,
    jobs: options.jobs,
    analyze: options.analyze,
    toastCompression: toastCompressionOf(options.toastCompression),
  };
  const { journal, key } = host;
  const { now, signal } = surroundings;
  const what = { command, database, source, request, deps: { journal, key, now, progress, signal } };
  if (options.into !== undefined) return restoreInto(what, { ...options, into: options.into });
  return options.inPlace === true ? restoreInPlace(what, options) : restoreIntoLive(what, options);
}

interface What {
  command: Command;
  database: DatabaseConfiguration;
  source: BackupSource;
  request: RestoreRequest;
  deps: RestoreDependencies;
}

async function restoreInto(what: What, { into, dryRun }: Asked & { into: string }): Promise<number> {
  const { command, source, deps } = what;
  const request = { ...what.request, into };
  if (dryRun === true) {
    const plan = await planRestore(request, deps);
    command.output.result(plan, describePlan(plan, source.dumpKey));
    return 0;
  }
  const began = performance.now();
  const outcome = await runRestore(request, deps);
  tell(what, outcome, began, []);
  return 0;
}

async function restoreInPlace(what: What, options: Asked): Promise<number> {
  const { command, database, source, deps } = what;
  const { host, output } = command;
  checkOwner(what, options.database);
  const { safetyBackup = true, acceptExcluded = false } = options;
  const request = await inPlaceRequest(host, database, what.request, { deps, safetyBackup, acceptExcluded });
  if (options.dryRun === true) {
    const plan = await planInPlace(request, deps);
    output.result(plan, describePlan(plan, source.dumpKey));
    return 0;
  }
  const { database: name } = request.live;
  if (options.yes !== true) await confirmName(name, `Replacing the database ${name}`, deps.signal);
  const began = performance.now();
  const outcome = await runInPlace(request, deps);
  const { keptAs, safetyBackupId } = outcome;
  tell(what, outcome, began, [
    `  The database that it was is kept as ${keptAs}; \`strideiq-agent restore undo\` takes the restore back.`,
    ...(safetyBackupId === undefined ? [] : [`  The backup of it that was made before: ${safetyBackupId}`]),
  ]);
  for (const line of await pruneReplaced(host, database)) output.note(line);
  return 0;
}

async function restoreIntoLive(what: What, options: Asked): Promise<number> {
  const { command, database, deps, request, source } = what;
  const { host, output } = command;
  const { intoSchema: schema, wanted } = options;
  checkOwner(what, options.database);
  const live = await host.endpointOf(database);
  const replaces = schema === undefined;
  const tables = wanted?.tables ?? [];
  if (replaces) {
    const named = tables.join(', ');
    const deed = `Replacing the rows of ${named} in ${live.database}`;
    if (options.yes !== true) await confirmName(live.database, deed, deps.signal);
  }
  const isSafe = replaces && (options.safetyBackup ?? true);
  const began = performance.now();
  const outcome = await runIntoLive(
    {
      ...request,
      live,
      schema,
      wanted: { tables, postData: false },
      safetyBackup: isSafe ? async () => runSafetyBackup(host, database, deps, { whole: false }) : undefined,
    },
    deps,
  );
  for (const note of outcome.notes) output.note(`note: ${note}`);
  const text = describeIntoLive(outcome, source.dumpKey, (performance.now() - began) / 1000);
  output.result({ ...outcome, source: { name: source.dumpKey, location: source.opened.store.location } }, text);
  return 0;
}

function describeIntoLive({ into, tables, safetyBackupId }: IntoLiveOutcome, name: string, seconds: number): string {
  const number = (value: number) => value.toLocaleString('en');
  const lines = tables.map((table) => {
    const rows = `  ${table.schema}.${table.name}: ${number(table.rows)} rows`;
    if (!('deleted' in table)) return rows;
    const { deleted, updated, inserted } = table;
    return `${rows}; ${number(deleted)} were deleted, ${number(updated)} changed, ${number(inserted)} added`;
  });
  return [
    `Restored from ${name} in ${into} in ${seconds.toFixed(1)} s`,
    ...lines,
    ...(safetyBackupId === undefined ? [] : [`  The backup of it that was made before: ${safetyBackupId}`]),
  ].join('\n');
}

/** A path says whose backup it is by its manifest alone; what replaces a database has to be meant for it. */
function checkOwner({ source, database, command }: What, named: string | undefined): void {
  const of = source.found?.manifest.database;
  const several = Object.keys(command.host.configuration.databases).length > 1;
  if (named !== undefined || of === database.name || (of === undefined && !several)) return;
  throw new AgentError(
    'UsageInvalid',
    of === undefined
      ? `${source.dumpKey} does not say which database it is of.`
      : `${source.dumpKey} is a backup of ${of}, and would replace ${database.name}.`,
    'Name the database that is to be replaced with --database NAME.',
  );
}

function tell(
  { command, source }: What,
  outcome: RestoreOutcome | InPlaceOutcome,
  began: number,
  more: string[],
): void {
  const { output } = command;
  for (const note of outcome.notes) output.note(`note: ${note}`);
  const text = [describe(outcome, source.dumpKey, (performance.now() - began) / 1000), ...more].join('\n');
  output.result({ ...outcome, source: { name: source.dumpKey, location: source.opened.store.location } }, text);
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
export function toastCompressionOf(given: string | undefined): string | undefined {
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
  const rights = 'keptAs' in outcome ? 'as the replaced database had them' : 'as in the backup';
  return [
    `Restored ${name} into ${into} in ${seconds.toFixed(1)} s`,
    `  ${rows} rows of ${tables.length} tables, each table's count equal to the backup's${compared}`,
    privileges !== undefined || 'keptAs' in outcome
      ? `  Owners, grants and settings are ${rights}${notes.length > 0 ? ', but for what is noted above' : ''}.`
      : '  Everything belongs to the role that restored it.',
  ].join('\n');
}
