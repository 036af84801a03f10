import type { RunState } from '@strideiq/core';
import type {
  LogReport,
  ReportBodies,
  ReportedBackup,
  ReportedDrill,
  ReportedRestore,
  RunReport,
} from '@strideiq/protocol';
import { isOfBackup, type CopyOutcome, type PlannedCopy, type Run } from './schema.ts';

/** As many of each as the protocol takes. */
const mostWarnings = 20;
const mostCopies = 50;

/** Everything that is known of a run by now, as it is reported. */
export function runReportOf(run: Run): ReportBodies['run'] {
  const { id, kind, databaseId, state, startedAt, finishedAt, detail, errorCode, error } = run;
  const backup = reportedBackup(run);
  const restore = reportedRestore(run);
  const drill = reportedDrill(run);
  return {
    runId: id,
    kind,
    databaseId,
    state: state as RunState as RunReport['state'],
    startedAt: new Date(startedAt).toISOString(),
    ...(finishedAt === null ? {} : { finishedAt: new Date(finishedAt).toISOString() }),
    ...(detail.commandId === undefined ? {} : { commandId: detail.commandId }),
    ...(errorCode === null ? {} : { error: { code: errorCode, text: error ?? '' } }),
    warnings: (detail.warnings ?? []).slice(0, mostWarnings),
    ...(backup ? { backup } : {}),
    ...(restore ? { restore } : {}),
    ...(drill ? { drill } : {}),
  };
}

/** What people read of a run's end: what it warned of, and why it failed. */
export function closingLines({ detail, error }: Run, at: number): LogReport['lines'] {
  const moment = new Date(at).toISOString();
  return [
    ...(detail.warnings ?? []).slice(0, mostWarnings).map((text) => ({ at: moment, level: 'warn' as const, text })),
    ...(error === null ? [] : [{ at: moment, level: 'error' as const, text: error }]),
  ];
}

/** Told once all that there is to tell of it is known: its manifest is sealed, and each copy has an outcome. */
function reportedBackup({ kind, detail }: Run): ReportedBackup | undefined {
  const { backupId, sealed, copies = [] } = detail;
  if (!isOfBackup(kind) || backupId === undefined || sealed === undefined || !copies.every(hasEnded)) return undefined;
  return { backupId, ...sealed, copies: copies.slice(0, mostCopies).map(reportedCopy) };
}

function hasEnded(copy: PlannedCopy | CopyOutcome): copy is CopyOutcome {
  return 'state' in copy;
}

function reportedCopy({ storeId, dumpKey, state, sizeBytes, errorCode, error }: CopyOutcome) {
  return {
    storeId,
    key: dumpKey,
    state,
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...(errorCode === undefined ? {} : { error: { code: errorCode, text: error ?? '' } }),
  };
}

function reportedDrill({ detail }: Run): ReportedDrill | undefined {
  const { backupId, drill, rows = 0, tables = 0, objects = 0 } = detail;
  return drill && backupId !== undefined ? { backupId, rows, tables, objects, ...drill } : undefined;
}

function reportedRestore({ kind, state, errorCode, detail }: Run): ReportedRestore | undefined {
  const { backupId, source, into, tables, rows, objects, inPlace } = detail;
  if (kind !== 'restore' || source === undefined || into === undefined) return undefined;
  const { safetyBackupId } = inPlace ?? {};
  const keptAs = state === 'succeeded' ? inPlace?.keptAs : undefined;
  // Written down before it is tried: where that failed the restored database bears the name still.
  const undoneAs = errorCode === 'SwapFailed' ? undefined : inPlace?.undoneAs;
  const all = { backupId, tables, rows, objects, keptAs, undoneAs, safetyBackupId };
  const known = Object.entries(all).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(known), source: source.slice(0, 2000), into: into.slice(0, 100) };
}
