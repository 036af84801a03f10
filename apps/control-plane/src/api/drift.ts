import { idSchema } from '@strideiq/core';
import { and, asc, eq } from 'drizzle-orm';
import { z } from 'zod';
import { drift, stores } from '../catalog/schema.ts';
import type { ApiParts } from './context.ts';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';
import { environmentsOfDatabase } from './owners.ts';

const whatSchema = z.strictObject({ databaseId: idSchema });

export const storeDriftSchema = z
  .object({
    storeId: z.string(),
    name: z.string().describe('As the host calls it.'),
    location: z.string(),
    lookedAt: momentSchema.nullable().describe('When it was compared with the catalog the last time.'),
    problem: z.string().nullable().describe('Why it was not compared now, where that was asked for.'),
    items: z.array(
      z.object({
        kind: z.string().describe('missing, resized, changed, unmanaged, unknown, incomplete or foreign.'),
        key: z.string(),
        text: z.string(),
        by: z.enum(['agent', 'controlPlane']).describe('Who has seen it.'),
        firstSeenAt: momentSchema,
      }),
    ),
  })
  .meta({ id: 'StoreDrift' });
export type StoreDrift = z.infer<typeof storeDriftSchema>;

const driftSchema = z.object({ stores: z.array(storeDriftSchema) });

/** How what stores hold differs from the catalog. */
export const driftRouter = router({
  show: guarded({
    role: 'viewer',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: whatSchema,
    output: driftSchema.meta({ id: 'Drift' }),
    rest: {
      method: 'GET',
      path: '/databases/{databaseId}/drift',
      summary: 'How what the stores of a database hold differs from the catalog, as it was seen last',
    },
  }).query(({ ctx: { parts }, input: { databaseId } }) => ({ stores: driftIn(parts, databaseId) })),

  look: guarded({
    role: 'operator',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: whatSchema,
    output: driftSchema.meta({ id: 'DriftNow' }),
    rest: {
      method: 'POST',
      path: '/databases/{databaseId}/drift',
      summary: 'Compares the buckets of a database with the catalog now',
    },
  }).mutation(async ({ ctx: { parts }, input: { databaseId } }) => {
    const looked = await parts.buckets.look(databaseId);
    const problems = new Map(looked.map(({ storeId, waits }) => [storeId, waits ?? null]));
    return { stores: driftIn(parts, databaseId, problems) };
  }),
});

function driftIn(
  { catalog }: Pick<ApiParts, 'catalog'>,
  databaseId: string,
  problems: ReadonlyMap<string, string | null> = new Map(),
): StoreDrift[] {
  const own = and(eq(stores.databaseId, databaseId), eq(stores.declared, true));
  const rows = catalog.select().from(stores).where(own).orderBy(asc(stores.name)).all();
  return rows.map(({ id, name, location, lookedAt }) => {
    const items = catalog.select().from(drift).where(eq(drift.storeId, id)).orderBy(asc(drift.key)).all();
    // Both may have looked at the same bucket.
    const once = items.filter(
      ({ kind, key }, at) => items.findIndex((each) => each.kind === kind && each.key === key) === at,
    );
    return {
      storeId: id,
      name,
      location,
      lookedAt: moment(lookedAt),
      problem: problems.get(id) ?? null,
      items: once.map(({ kind, key, text, by, firstSeenAt }) => ({
        kind,
        key,
        text,
        by,
        firstSeenAt: moment(firstSeenAt),
      })),
    };
  });
}
