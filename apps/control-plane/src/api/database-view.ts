import { shownPolicySchema } from '@strideiq/core';
import { eq } from 'drizzle-orm';
import { z } from 'zod';
import { goodDrillOf } from '../drills/good-drill.ts';
import { databases } from '../catalog/schema.ts';
import { policyInForce } from '../policies/kept-policies.ts';
import { newestBackup } from '../restores/choose-backup.ts';
import { storeSchema, storesOf } from './agent-view.ts';
import type { ApiParts } from './context.ts';
import { moment, momentSchema } from './moments.ts';
import { missing } from './owners.ts';

/** A database, as lists show it. What its server says is of the last heartbeat, and of the last backup before that. */
export const databaseSchema = z
  .object({
    id: z.string(),
    environment: z.string(),
    name: z.string(),
    agentId: z.string().describe('The agent that looks after it.'),
    agentConnected: z.boolean(),
    declared: z.boolean().describe('Whether the host’s file still names it.'),
    gone: z.boolean().describe('Whether its server has it no more.'),
    allow: z.array(z.string()).describe('What the host’s file lets be asked from afar.'),
    firstSeenAt: momentSchema,
    reachable: z.boolean().nullable().describe('Whether the agent reaches its server; null while nobody can tell.'),
    error: z.string().nullable().describe('Why it does not.'),
    serverVersion: z.string().nullable(),
    pgDumpVersion: z.string().nullable(),
    sizeBytes: z.number().nullable(),
    lastBackup: z
      .object({ id: z.string(), finishedAt: momentSchema })
      .nullable()
      .describe('The newest that can be restored, as `latest` takes it.'),
    lastDrill: z
      .object({
        runId: z.string(),
        backupId: z.string(),
        finishedAt: momentSchema,
        restoreMs: z.number(),
        countsAsRto: z.boolean(),
        dataAgeMs: z.number(),
      })
      .nullable()
      .describe('When a backup of it was last proven to restore, wherever that was.'),
  })
  .meta({ id: 'Database' });
export type Database = z.infer<typeof databaseSchema>;

export const databaseDetailSchema = databaseSchema
  .extend({
    policy: shownPolicySchema.nullable().describe('The policy that is in force; null before its agent’s first hello.'),
    filePolicy: z
      .record(z.string(), z.unknown())
      .describe('What the host’s file says of schedule and retention: the seed of the first policy.'),
    stores: z.array(storeSchema),
  })
  .meta({ id: 'DatabaseDetail' });
export type DatabaseDetail = z.infer<typeof databaseDetailSchema>;

type DatabaseRow = typeof databases.$inferSelect;

export function databaseOf(
  { catalog, connections, now }: Pick<ApiParts, 'catalog' | 'connections' | 'now'>,
  row: DatabaseRow,
): Database {
  const live = connections.stateOf(row.agentId);
  const facts = live?.heartbeat?.databases.find(({ databaseId }) => databaseId === row.id);
  const last = newestBackup(catalog, row.id, now());
  return {
    id: row.id,
    environment: row.environment,
    name: row.name,
    agentId: row.agentId,
    agentConnected: live !== undefined,
    declared: row.declared,
    gone: row.gone,
    allow: row.allow,
    firstSeenAt: moment(row.firstSeenAt),
    reachable: facts?.reachable ?? null,
    error: facts?.error ?? null,
    serverVersion: facts?.serverVersion ?? last?.serverVersion ?? null,
    pgDumpVersion: facts?.pgDumpVersion ?? last?.pgDumpVersion ?? null,
    sizeBytes: facts?.sizeBytes ?? last?.databaseBytes ?? null,
    lastDrill: lastDrillOf(catalog, row.id),
    lastBackup: last === undefined ? null : { id: last.id, finishedAt: moment(last.hostFinishedAt) },
  };
}

function lastDrillOf(catalog: ApiParts['catalog'], databaseId: string): Database['lastDrill'] {
  const run = goodDrillOf(catalog, databaseId);
  const drill = run?.outcome?.drill;
  if (run?.backupId == null || !drill) return null;
  const { restoreMs, countsAsRto, dataAgeMs } = drill;
  const finishedAt = moment(run.hostFinishedAt ?? run.endedAt ?? 0);
  return { runId: run.id, backupId: run.backupId, finishedAt, restoreMs, countsAsRto, dataAgeMs };
}

/** @throws ControlPlaneError `NotFound` */
export function databaseDetailOf(
  parts: Pick<ApiParts, 'catalog' | 'connections' | 'now'>,
  databaseId: string,
): DatabaseDetail {
  const row =
    parts.catalog.select().from(databases).where(eq(databases.id, databaseId)).get() ?? missing('database', databaseId);
  return {
    ...databaseOf(parts, row),
    policy: policyInForce(parts.catalog, databaseId)?.policy ?? null,
    filePolicy: row.policy,
    stores: storesOf(parts, row.agentId, [row.id]),
  };
}
