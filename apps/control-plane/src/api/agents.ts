import { idSchema } from '@strideiq/core';
import { and, desc, eq, inArray } from 'drizzle-orm';
import { z } from 'zod';
import { agents } from '../catalog/schema.ts';
import { agentDetailOf, agentDetailSchema, agentOf, agentSchema } from './agent-view.ts';
import { environmentNameSchema } from './environments.ts';
import { guarded, router } from './guarded.ts';
import { environmentsOfAgent } from './owners.ts';
import { afterCursor, pageInput, pageOutput, readPage } from './paging.ts';

const ofAgent = z.strictObject({ agentId: idSchema });

export const agentsRouter = router({
  list: guarded({
    role: 'viewer',
    scope: 'listed',
    input: z.strictObject({ ...pageInput, environment: environmentNameSchema.optional() }),
    output: pageOutput(agentSchema),
    rest: { method: 'GET', path: '/agents', summary: 'The agents, the last enrolled first' },
  }).query(({ ctx: { caller, parts }, input: { cursor, limit, environment } }) => {
    const page = readPage(
      limit,
      (most) =>
        parts.catalog
          .select()
          .from(agents)
          .where(
            and(
              caller.environments === null ? undefined : inArray(agents.environment, [...caller.environments]),
              environment === undefined ? undefined : eq(agents.environment, environment),
              afterCursor(cursor, agents.enrolledAt, agents.id),
            ),
          )
          .orderBy(desc(agents.enrolledAt), desc(agents.id))
          .limit(most)
          .all(),
      ({ id, enrolledAt }) => ({ at: enrolledAt, id }),
    );
    return { items: page.items.map((row) => agentOf(parts, row)), nextCursor: page.nextCursor };
  }),

  get: guarded({
    role: 'viewer',
    scope: ({ agentId }, catalog) => environmentsOfAgent(catalog, agentId),
    input: ofAgent,
    output: agentDetailSchema,
    rest: { method: 'GET', path: '/agents/{agentId}', summary: 'One agent, with its databases and stores' },
  }).query(({ ctx: { parts }, input: { agentId } }) => agentDetailOf(parts, agentId)),

  revoke: guarded({
    role: 'admin',
    scope: ({ agentId }, catalog) => environmentsOfAgent(catalog, agentId),
    input: ofAgent,
    output: agentSchema,
    rest: {
      method: 'POST',
      path: '/agents/{agentId}/revoke',
      summary: 'Takes an agent’s credential away; it can enrol again by a new token',
    },
  }).mutation(({ ctx: { caller, parts }, input: { agentId } }) => {
    parts.enrolment.revoke(agentId, caller.keyId);
    return agentDetailOf(parts, agentId);
  }),
});
