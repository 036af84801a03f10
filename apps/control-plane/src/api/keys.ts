import { idSchema } from '@strideiq/core';
import { and, desc, sql, type SQL } from 'drizzle-orm';
import { z } from 'zod';
import { keys, roles } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import type { Caller } from '../keys/caller.ts';
import { environmentNameSchema } from './environments.ts';
import { guarded, router } from './guarded.ts';
import { keyOf, keySchema } from './key-view.ts';
import { moment, momentSchema } from './moments.ts';
import { reachOfKey } from './owners.ts';
import { afterCursor, pageInput, pageOutput, readPage } from './paging.ts';

export const keysRouter = router({
  list: guarded({
    role: 'admin',
    scope: 'listed',
    input: z.strictObject(pageInput),
    output: pageOutput(keySchema),
    rest: { method: 'GET', path: '/keys', summary: 'The API keys that reach no further than this one' },
  }).query(({ ctx: { caller, parts }, input: { cursor, limit } }) => {
    const page = readPage(
      limit,
      (most) =>
        parts.catalog
          .select()
          .from(keys)
          .where(and(reachesNoFurther(caller), afterCursor(cursor, keys.createdAt, keys.id)))
          .orderBy(desc(keys.createdAt), desc(keys.id))
          .limit(most)
          .all(),
      ({ id, createdAt }) => ({ at: createdAt, id }),
    );
    return { items: page.items.map(keyOf), nextCursor: page.nextCursor };
  }),

  create: guarded({
    role: 'admin',
    scope: ({ environments }) => environments ?? 'all',
    // Nothing is left to a default here: a key with a misspelt limit would be one without.
    input: z.strictObject({
      name: z.string().trim().min(1).max(200),
      role: z.enum(roles),
      environments: z
        .array(environmentNameSchema)
        .min(1)
        .max(1000)
        .nullable()
        .describe('Null: all, also those to come.'),
      expiresAt: momentSchema.nullable().optional().describe('Left out or null: until it is revoked.'),
    }),
    output: keySchema.extend({ key: z.string().describe('Shown this once.') }).meta({ id: 'NewKey' }),
    rest: { method: 'POST', path: '/keys', summary: 'Makes an API key', status: 201 },
  }).mutation(({ ctx: { caller, parts }, input: { name, role, environments, expiresAt } }) => {
    const ends = expiresAt === undefined || expiresAt === null ? null : Date.parse(expiresAt);
    checkExpiry(ends, caller, parts.now());
    const { key, row } = parts.keys.create({ name, role, environments, expiresAt: ends }, caller.keyId);
    return { ...keyOf(row), key };
  }),

  revoke: guarded({
    role: 'admin',
    scope: ({ keyId }, catalog) => reachOfKey(catalog, keyId),
    input: z.strictObject({ keyId: idSchema }),
    output: keySchema,
    rest: { method: 'POST', path: '/keys/{keyId}/revoke', summary: 'Takes a key out of use, at once' },
  }).mutation(({ ctx: { caller, parts }, input: { keyId } }) => keyOf(parts.keys.revoke(keyId, caller.keyId))),
});

/** Keys for more than the caller's are none of its business. */
function reachesNoFurther({ environments }: Caller): SQL | undefined {
  if (environments === null) return undefined;
  const own = JSON.stringify(environments);
  return sql`${keys.environments} IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM json_each(${keys.environments}) AS theirs
    WHERE theirs.value NOT IN (SELECT value FROM json_each(${own})))`;
}

/** A key that ends cannot make one that outlives it. */
function checkExpiry(ends: number | null, caller: Caller, now: number): void {
  if (ends !== null && ends <= now) {
    throw new ControlPlaneError('InputInvalid', 'expiresAt is past.', 'Name a moment to come, or leave it out.');
  }
  if (caller.expiresAt !== null && (ends ?? Infinity) > caller.expiresAt) {
    const last = moment(caller.expiresAt);
    throw new ControlPlaneError(
      'InputInvalid',
      `The key ${caller.name} ends at ${last}, and can make none that lasts longer.`,
      `Say "expiresAt": "${last}" or earlier, or use a key that does not end.`,
    );
  }
}
