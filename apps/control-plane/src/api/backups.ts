import { idSchema } from '@strideiq/core';
import { and, desc, eq, inArray } from 'drizzle-orm';
import { z } from 'zod';
import type { Catalog } from '../catalog/open-catalog.ts';
import { backups, databases } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import { pinBackup, unpinBackup } from '../policies/pins.ts';
import { newestBackup } from '../restores/choose-backup.ts';
import { backupSchema, backupsOf, type Backup } from './backup-view.ts';
import { environmentNameSchema } from './environments.ts';
import { guarded, router } from './guarded.ts';
import { momentSchema } from './moments.ts';
import { environmentsOfBackup, environmentsOfDatabase, missing } from './owners.ts';
import { afterCursor, pageInput, pageOutput, readPage } from './paging.ts';
import { chosen, requesterOf, started, startedSchema, workErrors } from './work.ts';

const storeIdsSchema = z
  .array(idSchema)
  .min(1)
  .max(50)
  .optional()
  .describe('Only in these; left out: in every store of the database.');

export const backupsRouter = router({
  list: guarded({
    role: 'viewer',
    scope: 'listed',
    input: z.strictObject({
      ...pageInput,
      environment: environmentNameSchema.optional(),
      databaseId: idSchema.optional(),
      state: z.enum(['running', 'succeeded', 'failed']).optional(),
    }),
    output: pageOutput(backupSchema),
    rest: { method: 'GET', path: '/backups', summary: 'The backups with their copies, the newest first' },
  }).query(({ ctx: { caller, parts }, input: { cursor, limit, environment, databaseId, state } }) => {
    const { catalog } = parts;
    const page = readPage(
      limit,
      (most) =>
        catalog
          .select({ backup: backups, database: databases })
          .from(backups)
          .innerJoin(databases, eq(databases.id, backups.databaseId))
          .where(
            and(
              caller.environments === null ? undefined : inArray(databases.environment, [...caller.environments]),
              environment === undefined ? undefined : eq(databases.environment, environment),
              databaseId === undefined ? undefined : eq(backups.databaseId, databaseId),
              state === undefined ? undefined : eq(backups.state, state),
              afterCursor(cursor, backups.hostFinishedAt, backups.id),
            ),
          )
          .orderBy(desc(backups.hostFinishedAt), desc(backups.id))
          .limit(most)
          .all(),
      ({ backup }) => ({ at: backup.hostFinishedAt, id: backup.id }),
    );
    return { items: backupsOf(catalog, page.items), nextCursor: page.nextCursor };
  }),

  pin: guarded({
    role: 'operator',
    scope: ({ backupId }, catalog) => environmentsOfBackup(catalog, backupId),
    input: z.strictObject({
      backupId: idSchema,
      reason: z.string().trim().min(1).max(500),
      until: momentSchema.nullable().optional().describe('Left out or null: until it is taken off.'),
    }),
    output: backupSchema,
    rest: { method: 'POST', path: '/backups/{backupId}/pin', summary: 'Keeps a backup, whatever the policy says' },
  }).mutation(({ ctx: { caller, parts }, input: { backupId, reason, until = null } }) => {
    pinBackup(parts, { backupId, reason, until: until === null ? null : Date.parse(until), actor: caller.keyId });
    return backupOf(parts.catalog, backupId);
  }),

  unpin: guarded({
    role: 'operator',
    scope: ({ backupId }, catalog) => environmentsOfBackup(catalog, backupId),
    input: z.strictObject({ backupId: idSchema }),
    output: backupSchema,
    rest: { method: 'DELETE', path: '/backups/{backupId}/pin', summary: 'Leaves a backup to its policy again' },
  }).mutation(({ ctx: { caller, parts }, input: { backupId } }) => {
    unpinBackup(parts, { backupId, actor: caller.keyId });
    return backupOf(parts.catalog, backupId);
  }),

  get: guarded({
    role: 'viewer',
    scope: ({ backupId }, catalog) => environmentsOfBackup(catalog, backupId),
    input: z.strictObject({ backupId: idSchema }),
    output: backupSchema,
    rest: { method: 'GET', path: '/backups/{backupId}', summary: 'One backup with its copies' },
  }).query(({ ctx: { parts }, input: { backupId } }) => backupOf(parts.catalog, backupId)),

  newest: guarded({
    role: 'viewer',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: z.strictObject({
      databaseId: idSchema,
      before: z.iso.datetime({ offset: true }).optional().describe('Whose data are older than this.'),
    }),
    output: backupSchema,
    rest: {
      method: 'GET',
      path: '/databases/{databaseId}/newest-backup',
      summary: 'The newest good backup of a database, as `latest` takes it',
    },
  }).query(({ ctx: { parts }, input: { databaseId, before } }) => {
    const beforeMs = before === undefined ? undefined : Date.parse(before);
    const newest = newestBackup(parts.catalog, databaseId, parts.now(), beforeMs);
    if (newest) return backupOf(parts.catalog, newest.id);
    throw new ControlPlaneError(
      'NotFound',
      `The database ${databaseId} has no good backup${before === undefined ? '' : ` from before ${before}`}.`,
      '`strideiq backups` lists those that there are.',
    );
  }),

  create: guarded({
    role: 'operator',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: z.strictObject({ databaseId: idSchema, storeIds: storeIdsSchema }),
    output: startedSchema,
    rest: {
      method: 'POST',
      path: '/backups',
      summary: 'Makes a backup now',
      status: 202,
      errors: workErrors,
      idempotent: true,
    },
  }).mutation(async ({ ctx, input: { databaseId, storeIds } }) =>
    started(ctx.parts.work.requestBackup({ databaseId, ...chosen(storeIds) }, requesterOf(ctx))),
  ),

  verify: guarded({
    role: 'operator',
    scope: ({ backupId }, catalog) => environmentsOfBackup(catalog, backupId),
    input: z.strictObject({ backupId: idSchema, storeIds: storeIdsSchema }),
    output: startedSchema,
    rest: {
      method: 'POST',
      path: '/backups/{backupId}/verify',
      summary: 'Reads a backup’s copies back, every byte',
      status: 202,
      errors: workErrors,
      idempotent: true,
    },
  }).mutation(async ({ ctx, input: { backupId, storeIds } }) =>
    started(ctx.parts.work.requestVerify({ backupId, ...chosen(storeIds) }, requesterOf(ctx))),
  ),
});

/** @throws ControlPlaneError `NotFound` */
function backupOf(catalog: Catalog, backupId: string): Backup {
  const rows = catalog
    .select({ backup: backups, database: databases })
    .from(backups)
    .innerJoin(databases, eq(databases.id, backups.databaseId))
    .where(eq(backups.id, backupId))
    .all();
  return backupsOf(catalog, rows)[0] ?? missing('backup', backupId);
}
