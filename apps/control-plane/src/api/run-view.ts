import { runStates } from '@strideiq/core';
import { eq, inArray } from 'drizzle-orm';
import { z } from 'zod';
import { databases, keys, runs } from '../catalog/schema.ts';
import type { LiveProgress } from '../runs/live-runs.ts';
import type { ApiParts } from './context.ts';
import { moment, momentSchema } from './moments.ts';
import { missing } from './owners.ts';

const drillSchema = z.object({
  backupId: z.string(),
  rows: z.number(),
  tables: z.number(),
  objects: z.number(),
  restoreMs: z.number().describe('From the first look at the server to a database that was compared.'),
  countsAsRto: z.boolean().describe('Whether that is the time that a real restore would take.'),
  dataAgeMs: z.number().describe('How old the newest data were when it began.'),
  sampledTables: z.number().describe('Tables whose rows were compared with the dump’s one by one.'),
  sampledRows: z.number(),
  assertions: z.number().describe('The host’s own, all of which held.'),
});

export const runSchema = z
  .object({
    id: z.string(),
    kind: z.string().describe('`backup`, `restore`, `verify`, `drill`.'),
    environment: z.string(),
    databaseId: z.string(),
    database: z.string(),
    agentId: z.string(),
    state: z.enum(runStates.all),
    requestedBy: z
      .object({ keyId: z.string(), name: z.string().nullable() })
      .nullable()
      .describe('The key by which it was asked for; null where the host began it by itself.'),
    request: z.record(z.string(), z.unknown()).nullable().describe('What was asked for.'),
    createdAt: momentSchema.describe('By the control plane’s clock, as is `endedAt`.'),
    startedAt: momentSchema.nullable().describe('By the host’s clock, as is `finishedAt`.'),
    finishedAt: momentSchema.nullable(),
    endedAt: momentSchema.nullable(),
    backupId: z.string().nullable().describe('The backup that it made, read or restored.'),
    progress: z.number().min(0).max(1).nullable().describe('0 to 1; null where nobody can tell.'),
    phase: z.string().nullable().describe('What it is at: `dumping`, `restoring` …'),
    remainingSeconds: z.number().nullable().describe('About how long that takes still; null where nobody can tell.'),
    table: z.string().nullable().describe('The one that was under way last.'),
    tables: z.array(z.string()).describe('All that are under way.'),
    rows: z.number().nullable(),
    bytes: z.number().nullable().describe('Compressed.'),
    rawBytes: z.number().nullable().describe('Of SQL.'),
    warnings: z.array(z.string()),
    restore: z
      .object({
        source: z.string(),
        into: z.string(),
        tables: z.number().nullable(),
        rows: z.number().nullable(),
        objects: z.number().nullable(),
        keptAs: z.string().nullable().describe('Of one in place: what the replaced database is called now.'),
        undoneAs: z.string().nullable().describe('Where it was taken back: what the restored database is called now.'),
        safetyBackupId: z.string().nullable().describe('The backup of the replaced database that was made first.'),
      })
      .nullable()
      .describe('What a restore has done.'),
    drill: drillSchema.nullable().describe('What a drill has shown.'),
    error: z.object({ code: z.string(), text: z.string() }).nullable(),
  })
  .meta({ id: 'Run' });
export type Run = z.infer<typeof runSchema>;

interface RunRow {
  run: typeof runs.$inferSelect;
  database: typeof databases.$inferSelect;
}

/** These runs, each with how far it is by its agent's last word. */
export function runsOf({ catalog, liveRuns }: Pick<ApiParts, 'catalog' | 'liveRuns'>, rows: readonly RunRow[]): Run[] {
  const askers = rows.flatMap(({ run }) => (run.requestedBy === null ? [] : [run.requestedBy]));
  const names = new Map(
    catalog
      .select({ id: keys.id, name: keys.name })
      .from(keys)
      .where(inArray(keys.id, askers))
      .all()
      .map(({ id, name }) => [id, name]),
  );
  return rows.map(({ run, database }) => {
    const { restore, drill = null } = run.outcome ?? {};
    return {
      id: run.id,
      kind: run.kind,
      environment: database.environment,
      databaseId: run.databaseId,
      database: database.name,
      agentId: run.agentId,
      state: run.state,
      requestedBy:
        run.requestedBy === null ? null : { keyId: run.requestedBy, name: names.get(run.requestedBy) ?? null },
      request: run.request,
      createdAt: moment(run.createdAt),
      startedAt: moment(run.hostStartedAt),
      finishedAt: moment(run.hostFinishedAt),
      endedAt: moment(run.endedAt),
      backupId: run.backupId,
      ...farOf(run, liveRuns.progressOf(run.id)),
      warnings: run.outcome?.warnings ?? [],
      restore:
        restore === undefined
          ? null
          : {
              source: restore.source,
              into: restore.into,
              tables: restore.tables ?? null,
              rows: restore.rows ?? null,
              objects: restore.objects ?? null,
              keptAs: restore.keptAs ?? null,
              undoneAs: restore.undoneAs ?? null,
              safetyBackupId: restore.safetyBackupId ?? null,
            },
      drill,
      error: run.errorCode === null ? null : { code: run.errorCode, text: run.error ?? '' },
    };
  });
}

/** @throws ControlPlaneError `NotFound` */
export function runOf(parts: Pick<ApiParts, 'catalog' | 'liveRuns'>, runId: string): Run {
  const rows = parts.catalog
    .select({ run: runs, database: databases })
    .from(runs)
    .innerJoin(databases, eq(databases.id, runs.databaseId))
    .where(eq(runs.id, runId))
    .all();
  return runsOf(parts, rows)[0] ?? missing('run', runId);
}

type Far = Pick<Run, 'progress' | 'phase' | 'remainingSeconds' | 'table' | 'tables' | 'rows' | 'bytes' | 'rawBytes'>;

function farOf({ state }: { state: Run['state'] }, live: LiveProgress | undefined): Far {
  const far: Far = {
    progress: live?.fraction ?? null,
    phase: live?.phase ?? null,
    remainingSeconds: live?.remainingMs === undefined ? null : Math.round(live.remainingMs / 1000),
    table: live?.table ?? null,
    tables: live?.tables ?? (live?.table === undefined ? [] : [live.table]),
    rows: live?.rows ?? null,
    bytes: live?.bytes ?? null,
    rawBytes: live?.rawBytes ?? null,
  };
  if (state === 'succeeded')
    return { ...far, progress: 1, phase: null, remainingSeconds: null, table: null, tables: [] };
  if (state === 'queued' || state === 'dispatched') return { ...far, progress: 0 };
  return far;
}
