import { idSchema } from '@strideiq/core';
import { z } from 'zod';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';
import { environmentsOfDatabase } from './owners.ts';
import { requesterOf, started, startedSchema, workErrors } from './work.ts';

const placeSchema = z
  .object({
    storeId: z.string(),
    key: z.string().describe('Below the store’s prefix.'),
    url: z.url().describe('PUT the dump there, in one request. It is a secret.'),
    headers: z.record(z.string(), z.string()).describe('The request has to bear them.'),
    expiresAt: momentSchema,
  })
  .meta({ id: 'UploadPlace' });

const restoreSchema = z.strictObject({
  databaseId: idSchema.describe('The database whose store holds it, and on whose server it is restored.'),
  storeId: idSchema,
  key: z.string().min(1).max(200).describe('As `POST /uploads` gave it.'),
  database: z.string().min(1).max(100).describe('Name of the new database.'),
  tables: z.array(z.string().min(1).max(300)).min(1).max(1000).optional().describe('`schema.name`; left out: all.'),
});

export const uploadsRouter = router({
  create: guarded({
    role: 'operator',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: z.strictObject({
      databaseId: idSchema.describe('Into a bucket of this database.'),
      sizeBytes: z
        .int()
        .min(1)
        .max(5 * 1024 ** 3)
        .describe('Of the dump, a .sql.gz, to the byte.'),
    }),
    output: placeSchema,
    rest: {
      method: 'POST',
      path: '/uploads',
      summary: 'A place for a dump of one’s own, to be restored from there',
      status: 201,
      errors: [...workErrors, 'PresignFailed'],
    },
  }).mutation(async ({ ctx, input }) => {
    const { expiresAt, ...place } = await ctx.parts.work.uploadUrl(input, requesterOf(ctx));
    return { ...place, expiresAt: moment(expiresAt) };
  }),
  restore: guarded({
    role: 'operator',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: restoreSchema,
    output: startedSchema,
    rest: {
      method: 'POST',
      path: '/uploads/restore',
      summary: 'Restores an upload into a new database, and removes it where the host may',
      status: 202,
      errors: workErrors,
      idempotent: true,
    },
  }).mutation(async ({ ctx, input: { databaseId, storeId, key, database: into, tables } }) =>
    started(
      ctx.parts.work.requestUploadRestore(
        { databaseId, storeId, key, into, ...(tables === undefined ? {} : { tables }) },
        requesterOf(ctx),
      ),
    ),
  ),
});
