import { idSchema } from '@strideiq/core';
import { and, desc, eq, inArray } from 'drizzle-orm';
import { z } from 'zod';
import { databases } from '../catalog/schema.ts';
import { moveDatabase } from '../databases/move-database.ts';
import { databaseDetailOf, databaseDetailSchema, databaseOf, databaseSchema } from './database-view.ts';
import { environmentNameSchema } from './environments.ts';
import { guarded, router } from './guarded.ts';
import { environmentsOfAgent, environmentsOfDatabase } from './owners.ts';
import { afterCursor, pageInput, pageOutput, readPage } from './paging.ts';

export const databasesRouter = router({
  list: guarded({
    role: 'viewer',
    scope: 'listed',
    input: z.strictObject({
      ...pageInput,
      environment: environmentNameSchema.optional(),
      agentId: idSchema.optional(),
    }),
    output: pageOutput(databaseSchema),
    rest: { method: 'GET', path: '/databases', summary: 'The databases, the last seen for the first time first' },
  }).query(({ ctx: { caller, parts }, input: { cursor, limit, environment, agentId } }) => {
    const page = readPage(
      limit,
      (most) =>
        parts.catalog
          .select()
          .from(databases)
          .where(
            and(
              caller.environments === null ? undefined : inArray(databases.environment, [...caller.environments]),
              environment === undefined ? undefined : eq(databases.environment, environment),
              agentId === undefined ? undefined : eq(databases.agentId, agentId),
              afterCursor(cursor, databases.firstSeenAt, databases.id),
            ),
          )
          .orderBy(desc(databases.firstSeenAt), desc(databases.id))
          .limit(most)
          .all(),
      ({ id, firstSeenAt }) => ({ at: firstSeenAt, id }),
    );
    return { items: page.items.map((row) => databaseOf(parts, row)), nextCursor: page.nextCursor };
  }),

  get: guarded({
    role: 'viewer',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: z.strictObject({ databaseId: idSchema }),
    output: databaseDetailSchema,
    rest: { method: 'GET', path: '/databases/{databaseId}', summary: 'One database, with its policy and stores' },
  }).query(({ ctx: { parts }, input: { databaseId } }) => databaseDetailOf(parts, databaseId)),

  move: guarded({
    role: 'admin',
    scope: ({ databaseId, agentId }, catalog) => [
      ...environmentsOfDatabase(catalog, databaseId),
      ...environmentsOfAgent(catalog, agentId),
    ],
    input: z.strictObject({
      databaseId: idSchema,
      agentId: idSchema.describe('The agent that looks after it from now on.'),
    }),
    output: databaseDetailSchema,
    rest: {
      method: 'POST',
      path: '/databases/{databaseId}/move',
      summary: 'Gives a database to another agent of its environment',
      errors: ['EnvironmentMismatch'],
    },
  }).mutation(({ ctx: { caller, parts }, input: { databaseId, agentId } }) => {
    moveDatabase(parts, { databaseId, agentId, actor: caller.keyId });
    return databaseDetailOf(parts, databaseId);
  }),
});
