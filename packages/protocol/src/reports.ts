import { backupComparisonSchema, driftKinds, idSchema } from '@strideiq/core';
import { z } from 'zod';
import { mostBatchReports, mostReportedDrift, mostTextLength } from './limits.ts';

const textSchema = z.string().max(mostTextLength);
const countSchema = z.number().nonnegative();
const momentSchema = z.iso.datetime();
const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/);
const failureSchema = z.object({ code: z.string().max(100), text: textSchema });

/**
 * What an agent says happened. It stands in the agent's journal before it is sent, is delivered at least once, and is
 * recorded exactly once by its `reportId`.
 */
export const reportSchema = z.object({
  reportId: idSchema,
  /** Place in the journal, from 1, without holes but for reports older than 30 days. */
  seq: z.int().positive(),
  /** One of `reportKinds`; a receiver stores others as they are, and acknowledges them. */
  kind: z.string().min(1).max(100),
  /** When it happened, by the host's clock; ISO 8601. */
  at: momentSchema,
  body: z.record(z.string(), z.unknown()),
});
export type Report = z.infer<typeof reportSchema>;

/** One copy of a backup, as a backup's run left it. */
export const reportedCopySchema = z.object({
  storeId: idSchema,
  /** Of the dump, below the store's prefix. */
  key: z.string().min(1).max(1000),
  state: z.enum(['stored', 'failed']),
  sizeBytes: countSchema.optional(),
  error: failureSchema.optional(),
});

/** A backup that a run made. Told once its manifest is sealed; a run that made none has none. */
export const reportedBackupSchema = z.object({
  backupId: idSchema,
  /** Of the dump: `running_app_20260111_030000.sql.gz`. */
  objectName: z.string().max(500),
  bytes: countSchema,
  rawBytes: countSchema,
  sha256: sha256Schema,
  /** Of the manifest's bytes, by which it is known. */
  manifestSha256: sha256Schema,
  rows: countSchema,
  tables: countSchema,
  /** Moment that the data are of; null where a killed agent's next start did not know it any more. */
  snapshotAt: momentSchema.nullable(),
  serverVersion: z.string().max(200),
  pgDumpVersion: z.string().max(200),
  databaseBytes: countSchema,
  hasPrivileges: z.boolean(),
  /** Made just before its database was to be replaced: it is nobody's latest. */
  safety: z.boolean().optional(),
  /** A dump that no agent made, taken in by the run: it counts for when its data are of, and not for when that was. */
  adopted: z.boolean().optional(),
  /** With the one that this host made before it; left out: nobody compared them. */
  comparison: backupComparisonSchema.optional(),
  copies: z.array(reportedCopySchema).max(50),
});
export type ReportedBackup = z.infer<typeof reportedBackupSchema>;

/** What a restore did. */
export const reportedRestoreSchema = z.object({
  backupId: idSchema.optional(),
  /** The dump it was read from, for people. */
  source: z.string().max(2000),
  /** The new database. */
  into: z.string().max(100),
  tables: countSchema.optional(),
  rows: countSchema.optional(),
  objects: countSchema.optional(),
  /** Of one in place: what the replaced database is called now; where it was taken back, the restored one. */
  keptAs: z.string().max(100).optional(),
  undoneAs: z.string().max(100).optional(),
  /** The backup of the replaced database that was made first. */
  safetyBackupId: idSchema.optional(),
});
export type ReportedRestore = z.infer<typeof reportedRestoreSchema>;

/** What a drill has shown. */
export const reportedDrillSchema = z.object({
  backupId: idSchema,
  rows: countSchema,
  tables: countSchema,
  objects: countSchema,
  /** From the first look at the server to a database that was compared. */
  restoreMs: countSchema,
  /** Whether that is the time that a real restore would take. */
  countsAsRto: z.boolean(),
  /** How old the newest data were. */
  dataAgeMs: countSchema,
  sampledTables: countSchema,
  sampledRows: countSchema,
  assertions: countSchema,
});
export type ReportedDrill = z.infer<typeof reportedDrillSchema>;

/** `run`: a run began, or ended. Each says all that is known, so that the last one alone tells the whole. */
export const runReportSchema = z.object({
  runId: idSchema,
  /** `backup`, `adopt`, `restore`, `verify`, `drill`. */
  kind: z.string().max(50),
  databaseId: idSchema,
  state: z.enum(['running', 'cancelling', 'succeeded', 'failed', 'cancelled']),
  startedAt: momentSchema,
  finishedAt: momentSchema.optional(),
  /** The command that asked for it; none where the host did by itself. */
  commandId: idSchema.optional(),
  error: failureSchema.optional(),
  warnings: z.array(textSchema).max(20).default([]),
  backup: reportedBackupSchema.optional(),
  restore: reportedRestoreSchema.optional(),
  drill: reportedDrillSchema.optional(),
});
export type RunReport = z.infer<typeof runReportSchema>;

/** `log`: what people read of a run. */
export const logReportSchema = z.object({
  runId: idSchema,
  lines: z.array(z.object({ at: momentSchema, level: z.enum(['info', 'warn', 'error']), text: textSchema })).max(100),
});
export type LogReport = z.infer<typeof logReportSchema>;

/** `copy`: what reading a copy back, or looking for it, has shown; `stored`: it was made from another one. */
export const copyReportSchema = z.object({
  runId: idSchema.optional(),
  databaseId: idSchema,
  backupId: idSchema,
  storeId: idSchema,
  key: z.string().min(1).max(1000),
  state: z.enum(['verified', 'corrupt', 'missing', 'stored']),
  sizeBytes: countSchema.optional(),
  problems: z.array(textSchema).max(20).default([]),
});
export type CopyReport = z.infer<typeof copyReportSchema>;

/** `deletion`: a copy in one of this host's directories that retention removes. */
export const deletionReportSchema = z.object({
  databaseId: idSchema,
  storeId: idSchema,
  /** Of the dump, below the store's prefix. */
  key: z.string().min(1).max(1000),
  reason: textSchema,
});
export type DeletionReport = z.infer<typeof deletionReportSchema>;

/** `drift`: how a store differs from what this host knows of it; takes the place of what was told before. */
export const driftReportSchema = z.object({
  databaseId: idSchema,
  storeId: idSchema,
  items: z
    .array(z.object({ kind: z.enum(driftKinds), key: z.string().min(1).max(1000), text: textSchema }))
    .max(mostReportedDrift),
});
export type DriftReport = z.infer<typeof driftReportSchema>;

/** `command`: how a command ended. Its run has reports of its own. */
export const commandReportSchema = z.object({
  commandId: idSchema,
  state: z.enum(['done', 'refused', 'expired']),
  /** Why it was refused or expired. */
  reason: failureSchema.optional(),
});
export type CommandReport = z.infer<typeof commandReportSchema>;

/** Kinds of report and what they hold. */
export const reportKinds = {
  run: runReportSchema,
  log: logReportSchema,
  copy: copyReportSchema,
  deletion: deletionReportSchema,
  drift: driftReportSchema,
  command: commandReportSchema,
} as const;
export type ReportKind = keyof typeof reportKinds;
export type ReportBodies = { [Kind in ReportKind]: z.input<(typeof reportKinds)[Kind]> };

/** One batch, in the order of `seq`. At most one is in flight, of `mostBatchBytes` at most. */
export const reportBatchSchema = z.object({
  journalId: idSchema,
  reports: z.array(reportSchema).min(1).max(mostBatchReports),
});
export type ReportBatch = z.infer<typeof reportBatchSchema>;

/**
 * What became of each report, in the batch's order. A rejected one is set aside and shown; it is not sent again unless
 * hello's mark asks for it, and does not block those behind it.
 */
export const reportAnswersSchema = z.object({
  answers: z.array(
    z.object({
      reportId: idSchema,
      answer: z.enum(['accepted', 'duplicate', 'rejected']),
      code: z.string().optional(),
      text: z.string().optional(),
    }),
  ),
  highWater: z.int().nonnegative(),
});
export type ReportAnswers = z.infer<typeof reportAnswersSchema>;

/**
 * Said on every connection once all reports are delivered: which runs this host still has open, and which commands it
 * has taken on and not ended. A run that the control plane holds for open and that is not among them was forgotten.
 */
export const settledSchema = z.object({
  openRunIds: z.array(idSchema).max(1000),
  openCommandIds: z.array(idSchema).max(1000),
});
export type Settled = z.infer<typeof settledSchema>;
