import { safeName } from '@strideiq/core';
import { and, count, desc, eq, inArray, isNotNull } from 'drizzle-orm';
import { z } from 'zod';
import { agents, databases, environments } from '../catalog/schema.ts';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';
import { afterCursor, pageInput, pageOutput, readPage } from './paging.ts';

/** Name of an environment; it stands in file names, labels and URLs as it is. */
export const environmentNameSchema = z
  .string()
  .regex(safeName, 'must be letters, digits, dot, dash and underscore, beginning with a letter or digit');

export const environmentSchema = z
  .object({
    name: z.string(),
    createdAt: momentSchema,
    agents: z.int().describe('Enrolled, and not revoked.'),
    agentsConnected: z.int(),
    databases: z.int(),
  })
  .meta({ id: 'Environment' });
export type Environment = z.infer<typeof environmentSchema>;

export const environmentsRouter = router({
  list: guarded({
    role: 'viewer',
    scope: 'listed',
    input: z.strictObject(pageInput),
    output: pageOutput(environmentSchema),
    rest: { method: 'GET', path: '/environments', summary: 'The environments that this key is for' },
  }).query(({ ctx: { caller, parts }, input: { cursor, limit } }) => {
    const page = readPage(
      limit,
      (most) =>
        parts.catalog
          .select()
          .from(environments)
          .where(
            and(
              caller.environments === null ? undefined : inArray(environments.name, [...caller.environments]),
              afterCursor(cursor, environments.createdAt, environments.name),
            ),
          )
          .orderBy(desc(environments.createdAt), desc(environments.name))
          .limit(most)
          .all(),
      ({ name, createdAt }) => ({ at: createdAt, id: name }),
    );
    const items = page.items.map(({ name, createdAt }): Environment => {
      const enrolled = parts.catalog
        .select({ id: agents.id })
        .from(agents)
        .where(and(eq(agents.environment, name), isNotNull(agents.credentialHash)))
        .all();
      const [held] = parts.catalog
        .select({ count: count() })
        .from(databases)
        .where(eq(databases.environment, name))
        .all();
      return {
        name,
        createdAt: moment(createdAt),
        agents: enrolled.length,
        agentsConnected: enrolled.filter(({ id }) => parts.connections.isConnected(id)).length,
        databases: held?.count ?? 0,
      };
    });
    return { items, nextCursor: page.nextCursor };
  }),
});
