import type { Manifest } from '@strideiq/core';
import type { DrillConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import type { DrillResult } from '../journal/schema.ts';
import { checkFirst } from '../restore/check-first.ts';
import { dropScratch } from '../restore/drop-scratch.ts';
import { fillScratch } from '../restore/fill-scratch.ts';
import { onMaintenance } from '../restore/maintenance-session.ts';
import { Privileges } from '../restore/privileges.ts';
import type { RestoreDependencies, RestoreRequest } from '../restore/restore-request.ts';
import { restoreRunOf } from '../restore/restore-run.ts';
import { outcomeOf, scratchNameOf } from '../restore/run-restore.ts';
import type { Scratch } from '../restore/scratch.ts';
import { misplacementOf } from '../restore/trust.ts';
import { withoutCron } from '../restore/left-out.ts';
import { checkServer, localeOptions, type TargetServer } from '../restore/target.ts';
import { checkAssertions } from './check-assertions.ts';
import { compareSamples, type Sampled } from './compare-samples.ts';

export interface DrillRequest extends Omit<RestoreRequest, 'wanted' | 'hooks'> {
  drill: DrillConfiguration;
  /** On another server than the database's own. */
  elsewhere: boolean;
  /** From 0 to 1; draws the tables that are looked at closely. */
  random: () => number;
}

export interface DrillOutcome extends DrillResult {
  runId: string;
  backupId: string;
  /** Of the dump, in its store. */
  source: string;
  rows: number;
  tables: number;
  objects: number;
  /** Whether the scratch database is gone. */
  dropped: boolean;
  notes: string[];
}

/**
 * A test restore: a backup into a database of its own, with all that a restore compares, some tables row by row, and the
 * host's own assertions; then the database is dropped.
 * @throws AgentError as a restore, and `RowsDiffer`, `AssertionFailed`
 */
export async function runDrill(request: DrillRequest, dependencies: RestoreDependencies): Promise<DrillOutcome> {
  const { maintenance } = request;
  const { run, deps } = restoreRunOf(request, dependencies, { kind: 'drill' });
  const { journal, now } = deps;
  const runId = run.id;
  const scratchDatabase = scratchNameOf(runId);
  const drop = async () => dropScratch(maintenance, runId, scratchDatabase, now);
  return journal.record(
    run,
    async () => {
      const result = await drill(request, deps, runId, scratchDatabase);
      const dropped = await drop();
      const notes = [...result.notes, ...(dropped.warnings ?? [])];
      const isDropped = dropped.clearedAt !== undefined;
      const { restoreMs, countsAsRto, dataAgeMs, sampledTables, sampledRows, assertions } = result;
      return {
        result: { ...result, dropped: isDropped, notes },
        detail: {
          ...dropped,
          rows: result.rows,
          tables: result.tables,
          objects: result.objects,
          warnings: notes,
          drill: { restoreMs, countsAsRto, dataAgeMs, sampledTables, sampledRows, assertions },
        },
      };
    },
    async () => (journal.get(runId)?.detail.scratchDatabase === undefined ? {} : drop()),
  );
}

async function drill(
  request: DrillRequest,
  deps: RestoreDependencies,
  runId: string,
  scratchDatabase: string,
): Promise<DrillOutcome> {
  const { source } = request;
  const began = performance.now();
  const begunAt = deps.now();
  const checked = await checkFirst(request, deps, runId, async (connection, its) =>
    checkServer(connection, withoutCron(its)),
  );
  const { manifest } = checked.trust;
  if (!manifest) throw withoutManifest(source.dumpKey);
  const misplaced = misplacementOf(source);
  if (misplaced !== undefined) throw ofAnother(source.dumpKey, misplaced);
  const privileges = manifest.privileges ? await Privileges.ofBackup(source, manifest.privileges) : undefined;
  deps.journal.describe(runId, { scratchDatabase });
  const filled = await fillScratch({
    ...checked,
    request,
    deps,
    runId,
    scratchDatabase,
    createOptions: localeOptions(manifest.source, checked.server),
    privileges,
    onlyLookedAt: true,
  });
  const restoreMs = Math.round(performance.now() - began);
  // What the assertions find by short names depends on them.
  if (filled.databaseApplied) {
    await filled.scratch.on(1, async ([connection]) => privileges?.applySettings(connection, scratchDatabase));
  } else {
    await onMaintenance(request.maintenance, runId, async (connection) =>
      privileges?.applySettings(connection, scratchDatabase),
    );
  }
  const sampled = await lookClosely(request, deps, manifest, filled.scratch);
  const storage = otherStorage(request, manifest, checked.server);
  const { rows = 0, tables = 0, objects = 0 } = outcomeOf(filled);
  return {
    runId,
    backupId: manifest.backupId,
    source: source.dumpKey,
    rows,
    tables,
    objects,
    restoreMs,
    countsAsRto: storage === undefined,
    dataAgeMs: Math.max(0, begunAt - Date.parse(manifest.snapshot.takenAt)),
    sampledTables: sampled.tables,
    sampledRows: sampled.rows,
    dropped: false,
    assertions: request.drill.assertions.length,
    notes: [
      ...filled.notes,
      ...sampled.notes,
      ...(privileges?.notes ?? []),
      ...otherwiseThanProduction(request, storage),
    ],
  };
}

/** By what long values were stored, where that is not what production does; of older backups nobody knows. */
function otherStorage(
  { toastCompression }: DrillRequest,
  { source }: Manifest,
  server: TargetServer,
): string | undefined {
  const used = toastCompression ?? server.toastCompression;
  const isSame =
    source.toastCompression === undefined ? toastCompression === undefined : used === source.toastCompression;
  return isSame ? undefined : (used ?? 'other means');
}

/** What is to be known of the time that it took. */
function otherwiseThanProduction({ elsewhere }: DrillRequest, storage: string | undefined): string[] {
  const stored = `Long values were stored by ${storage}, which production does not do: the time is no RTO.`;
  const place = 'It was restored on another server than its own, whose time this is.';
  return [...(storage === undefined ? [] : [stored]), ...(elsewhere ? [place] : [])];
}

async function lookClosely(
  { source, drill: configuration, random }: DrillRequest,
  { progress, signal }: RestoreDependencies,
  manifest: Manifest,
  scratch: Scratch,
): Promise<Sampled> {
  const sampled = await scratch.on(1, async ([connection]) =>
    compareSamples({
      source,
      manifest,
      connection,
      rows: configuration.sampledRows,
      random,
      progress,
      signal,
    }),
  );
  progress({ phase: 'asserting' });
  // On a connection whose settings are the database's own, as the application's are.
  await scratch.on(1, async ([connection]) => checkAssertions(connection, configuration));
  return sampled;
}

function ofAnother(dumpKey: string, why: string): AgentError {
  return new AgentError(
    'VerificationFailed',
    `${dumpKey} proves nothing of this database: ${why}.`,
    'Drill a backup of its own; `strideiq-agent list` shows them.',
  );
}

function withoutManifest(dumpKey: string): AgentError {
  return new AgentError(
    'SourceUntrusted',
    `${dumpKey} has no manifest that an agent made with it, so there is nothing to compare a restored database with.`,
    'Drill a backup that an agent has made; this one can be restored into a new database and looked at.',
  );
}
