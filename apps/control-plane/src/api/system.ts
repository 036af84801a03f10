import { count, eq, inArray, isNotNull } from 'drizzle-orm';
import type { SQLiteTable } from 'drizzle-orm/sqlite-core';
import { z } from 'zod';
import { agents, backups, databases, environments, roles, runs } from '../catalog/schema.ts';
import { openRunStates } from '../runs/open-states.ts';
import { controlPlaneVersion } from '../version.ts';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';

export const systemRouter = router({
  info: guarded({
    role: 'viewer',
    scope: 'system',
    input: z.strictObject({}),
    output: z
      .object({
        version: z.string(),
        now: momentSchema.describe('The control plane’s clock.'),
        startedAt: momentSchema,
        uptimeSeconds: z.number(),
        environments: z.int(),
        agents: z.int().describe('Enrolled, and not revoked.'),
        agentsConnected: z.int(),
        databases: z.int(),
        backups: z.int().describe('That succeeded.'),
        runsActive: z.int(),
      })
      .meta({ id: 'SystemInfo' }),
    rest: { method: 'GET', path: '/system', summary: 'Version, age and size of this control plane' },
  }).query(({ ctx: { parts } }) => {
    const { catalog, startedAt } = parts;
    const all = (table: SQLiteTable) => catalog.select({ count: count() }).from(table).all()[0]?.count ?? 0;
    const [succeeded] = catalog.select({ count: count() }).from(backups).where(eq(backups.state, 'succeeded')).all();
    const [active] = catalog.select({ count: count() }).from(runs).where(inArray(runs.state, openRunStates)).all();
    const enrolled = catalog.select({ id: agents.id }).from(agents).where(isNotNull(agents.credentialHash)).all();
    const now = parts.now();
    return {
      version: controlPlaneVersion,
      now: moment(now),
      startedAt: moment(startedAt),
      uptimeSeconds: Math.floor((now - startedAt) / 1000),
      environments: all(environments),
      agents: enrolled.length,
      agentsConnected: enrolled.filter(({ id }) => parts.connections.isConnected(id)).length,
      databases: all(databases),
      backups: succeeded?.count ?? 0,
      runsActive: active?.count ?? 0,
    };
  }),

  whoami: guarded({
    role: 'viewer',
    scope: 'listed',
    input: z.strictObject({}),
    output: z
      .object({
        keyId: z.string(),
        name: z.string(),
        role: z.enum(roles),
        environments: z.array(z.string()).nullable().describe('Null: all, also those to come.'),
        expiresAt: momentSchema.nullable(),
      })
      .meta({ id: 'WhoAmI' }),
    rest: { method: 'GET', path: '/system/whoami', summary: 'What this key may do' },
  }).query(({ ctx: { caller } }) => ({
    keyId: caller.keyId,
    name: caller.name,
    role: caller.role,
    environments: caller.environments === null ? null : [...caller.environments],
    expiresAt: moment(caller.expiresAt),
  })),
});
