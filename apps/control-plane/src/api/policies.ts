import { idSchema, policySchema, shownPolicySchema } from '@strideiq/core';
import { and, desc, eq, lt } from 'drizzle-orm';
import { z } from 'zod';
import { databases, policies } from '../catalog/schema.ts';
import { changePolicy, policyInForce, policyOfFile, type PolicyRow } from '../policies/kept-policies.ts';
import type { ApiParts } from './context.ts';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';
import { environmentsOfDatabase, missing } from './owners.ts';

const whatSchema = z.strictObject({ databaseId: idSchema });

const versionSchema = z
  .object({
    version: z.int().describe('From 1.'),
    policy: shownPolicySchema,
    changedAt: momentSchema,
    changedBy: z.string().describe('An API key’s id, or agent:ID for what its host’s file said.'),
  })
  .meta({ id: 'PolicyVersion' });

export const keptPolicySchema = versionSchema
  .extend({
    runs: z.int().nullable().describe('Version that the agent works by, as it said last; null: its host’s file.'),
  })
  .meta({ id: 'KeptPolicy' });
export type KeptPolicy = z.infer<typeof keptPolicySchema>;

const afterSchema = z
  .int()
  .min(0)
  .optional()
  .describe('Version that this is a change of: refused where there is a newer one. Left out: whatever it is.');

/** A database's policy: schedule and retention. */
export const policiesRouter = router({
  get: guarded({
    role: 'viewer',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: whatSchema,
    output: keptPolicySchema,
    rest: {
      method: 'GET',
      path: '/databases/{databaseId}/policy',
      summary: 'The policy of a database that is in force',
    },
  }).query(({ ctx: { parts }, input: { databaseId } }) => keptOf(parts, databaseId)),

  versions: guarded({
    role: 'viewer',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: z.strictObject({
      databaseId: idSchema,
      before: z.coerce.number<number>().int().min(1).optional().describe('Only older ones than this version.'),
    }),
    output: z.object({ items: z.array(versionSchema) }).meta({ id: 'PolicyVersions' }),
    rest: {
      method: 'GET',
      path: '/databases/{databaseId}/policy/versions',
      summary: 'What the policy of a database was, the newest first, at most 100',
    },
  }).query(({ ctx: { parts }, input: { databaseId, before } }) => {
    const rows = parts.catalog
      .select()
      .from(policies)
      .where(and(eq(policies.databaseId, databaseId), before === undefined ? undefined : lt(policies.version, before)))
      .orderBy(desc(policies.version))
      .limit(100)
      .all();
    return { items: rows.map(versionOf) };
  }),

  set: guarded({
    role: 'admin',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: z.strictObject({ databaseId: idSchema, after: afterSchema, policy: policySchema }),
    output: keptPolicySchema,
    rest: {
      method: 'POST',
      path: '/databases/{databaseId}/policy',
      summary: 'Puts another policy in force, whole: what is left out has its usual value',
      errors: ['PolicyChanged'],
    },
  }).mutation(({ ctx: { caller, parts }, input: { databaseId, policy, after } }) => {
    changePolicy(parts, { databaseId, policy, after, actor: caller.keyId });
    return keptOf(parts, databaseId);
  }),

  takeFile: guarded({
    role: 'admin',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: z.strictObject({ databaseId: idSchema, after: afterSchema }),
    output: keptPolicySchema,
    rest: {
      method: 'POST',
      path: '/databases/{databaseId}/policy/from-file',
      summary: 'Puts in force what the host’s file says now',
      errors: ['PolicyChanged'],
    },
  }).mutation(({ ctx: { caller, parts }, input: { databaseId, after } }) => {
    const policy = policyOfFile(parts.catalog, databaseId);
    changePolicy(parts, { databaseId, policy, after, actor: caller.keyId });
    return keptOf(parts, databaseId);
  }),
});

/** @throws ControlPlaneError `NotFound` */
function keptOf({ catalog }: Pick<ApiParts, 'catalog'>, databaseId: string): KeptPolicy {
  const kept = policyInForce(catalog, databaseId) ?? missing('policy', databaseId);
  const database = catalog
    .select({ runs: databases.runsPolicy })
    .from(databases)
    .where(eq(databases.id, databaseId))
    .get();
  return { ...versionOf(kept), runs: database?.runs ?? null };
}

function versionOf({ version, policy, changedAt, changedBy }: PolicyRow): z.infer<typeof versionSchema> {
  return { version, policy, changedAt: moment(changedAt), changedBy };
}
