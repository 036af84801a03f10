import { idSchema } from '@strideiq/core';
import { inArray } from 'drizzle-orm';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { backups } from '../catalog/schema.ts';
import { planStores } from '../retention/plan-store.ts';
import type { ApiParts } from './context.ts';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';
import { environmentsOfDatabase } from './owners.ts';

/** Whoever asks waits for a minute at most. */
const longestAnswerMs = 40_000;

const whatSchema = z.strictObject({ databaseId: idSchema });

const plannedCopySchema = z.object({
  backupId: z.string(),
  objectName: z.string(),
  at: momentSchema.describe('The moment that its data are of.'),
});

/** What retention would do in one store. */
export const storePlanSchema = z
  .object({
    storeId: z.string(),
    name: z.string().describe('As the host calls it.'),
    type: z.enum(['directory', 's3']),
    location: z.string(),
    by: z.enum(['agent', 'controlPlane']).describe('Who carries it out.'),
    waits: z.string().nullable().describe('Why nothing is removed before somebody has looked.'),
    keep: z.array(plannedCopySchema.extend({ reasons: z.array(z.string()) })),
    remove: z.array(plannedCopySchema.extend({ reason: z.string() })),
  })
  .meta({ id: 'StorePlan' });
export type StorePlan = z.infer<typeof storePlanSchema>;

const keptBucketSchema = z
  .object({
    storeId: z.string(),
    name: z.string(),
    waits: z.string().nullable(),
    removed: z.array(z.string()).describe('Ids of backups.'),
    locked: z.array(z.string()).describe('Those that Object Lock keeps for now.'),
    problems: z.array(z.string()),
  })
  .meta({ id: 'KeptBucket' });
export type KeptBucket = z.infer<typeof keptBucketSchema>;

export const retentionRouter = router({
  preview: guarded({
    role: 'viewer',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: whatSchema,
    output: z.object({ stores: z.array(storePlanSchema) }).meta({ id: 'RetentionPreview' }),
    rest: {
      method: 'GET',
      path: '/databases/{databaseId}/retention',
      summary: 'What retention keeps and removes in each store, and why, by what the catalog knows',
    },
  }).query(({ ctx: { parts }, input: { databaseId } }) => ({ stores: plansOf(parts, databaseId) })),

  carryOut: guarded({
    role: 'admin',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: z.strictObject({
      databaseId: idSchema,
      backupIds: z
        .array(idSchema)
        .min(1)
        .max(10_000)
        .describe('Backups that you have looked at: those of them go that retention would remove, and no others.'),
    }),
    output: z
      .object({
        stores: z.array(keptBucketSchema),
        goesOn: z
          .boolean()
          .describe('It takes longer than an answer may: what is left is in the preview, and then in the audit.'),
      })
      .meta({ id: 'RetentionCarriedOut' }),
    rest: {
      method: 'POST',
      path: '/databases/{databaseId}/retention',
      summary: 'Removes from the buckets of a database now what retention would, also where much goes at once',
    },
  }).mutation(async ({ ctx: { caller, parts }, input: { databaseId, backupIds } }) => {
    const keeping = parts.buckets.keep(databaseId, { backupIds, actor: caller.keyId });
    const kept = await Promise.race([keeping, delay(longestAnswerMs, undefined, { ref: false })]);
    return {
      goesOn: kept === undefined,
      stores: (kept ?? []).map(({ storeId, name, waits = null, outcome }) => ({
        storeId,
        name,
        waits,
        removed: outcome?.removed ?? [],
        locked: outcome?.locked ?? [],
        problems: outcome?.problems ?? [],
      })),
    };
  }),
});

function plansOf({ catalog, now }: Pick<ApiParts, 'catalog' | 'now'>, databaseId: string): StorePlan[] {
  const planned = planStores(catalog, databaseId, now());
  const ids = planned.flatMap(({ plan }) => [...plan.keep, ...plan.remove].map(({ backupId }) => backupId));
  const rows = catalog
    .select()
    .from(backups)
    .where(inArray(backups.id, [...new Set(ids)]))
    .all();
  const known = new Map(rows.map((row) => [row.id, row]));
  const about = (backupId: string) => {
    const row = known.get(backupId);
    const at = moment(row?.hostSnapshotAt ?? row?.hostFinishedAt ?? 0);
    return { backupId, objectName: row?.objectName ?? '', at };
  };
  return planned.map(({ store, plan, waits = null }) => ({
    storeId: store.id,
    name: store.name,
    type: store.type,
    location: store.location,
    by: store.type === 's3' ? 'controlPlane' : 'agent',
    waits,
    keep: plan.keep.map(({ backupId, reasons }) => ({ ...about(backupId), reasons })),
    remove: plan.remove.map(({ backupId, reason }) => ({ ...about(backupId), reason })),
  }));
}
