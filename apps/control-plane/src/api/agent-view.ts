import { asc, eq, inArray } from 'drizzle-orm';
import { z } from 'zod';
import { agents, databases, stores } from '../catalog/schema.ts';
import type { ApiParts } from './context.ts';
import { moment, momentSchema } from './moments.ts';
import { missing } from './owners.ts';

type AgentRow = typeof agents.$inferSelect;
type StoreRow = typeof stores.$inferSelect;

/** An agent, as lists show it. */
export const agentSchema = z
  .object({
    id: z.string(),
    environment: z.string(),
    hostname: z.string(),
    version: z.string(),
    connected: z.boolean(),
    connectedAt: momentSchema.nullable().describe('Since when it is connected, or was last.'),
    lastSeenAt: momentSchema.nullable(),
    enrolledAt: momentSchema,
    revoked: z.boolean(),
    clockOffsetMs: z
      .number()
      .nullable()
      .describe('The host’s clock less the control plane’s; null while it is not connected.'),
    commandKinds: z.array(z.string()).describe('What this version of the agent can be asked for.'),
  })
  .meta({ id: 'Agent' });
export type Agent = z.infer<typeof agentSchema>;

/** A store as an agent sees it. */
export const storeSchema = z
  .object({
    id: z.string(),
    databaseId: z.string(),
    name: z.string().describe('As the host calls it.'),
    type: z.enum(['directory', 's3']),
    location: z.string(),
    declared: z.boolean().describe('Whether the host’s file still names it.'),
    freeBytes: z.number().nullable().describe('Null where the store does not say, or the agent is away.'),
    error: z.string().nullable(),
  })
  .meta({ id: 'Store' });
export type Store = z.infer<typeof storeSchema>;

export const agentDetailSchema = agentSchema
  .extend({
    databases: z.array(
      z.object({
        id: z.string(),
        name: z.string(),
        declared: z.boolean(),
        allow: z.array(z.string()).describe('What the host’s file lets be asked from afar.'),
      }),
    ),
    stores: z.array(storeSchema),
  })
  .meta({ id: 'AgentDetail' });
export type AgentDetail = z.infer<typeof agentDetailSchema>;

export function agentOf({ connections }: Pick<ApiParts, 'connections'>, row: AgentRow): Agent {
  const live = connections.stateOf(row.id);
  return {
    id: row.id,
    environment: row.environment,
    hostname: row.hostname,
    version: row.version,
    connected: live !== undefined,
    connectedAt: moment(live?.connectedAt ?? row.connectedAt),
    lastSeenAt: moment(live?.lastSeenAt ?? row.lastSeenAt),
    enrolledAt: moment(row.enrolledAt),
    revoked: row.credentialHash === null,
    clockOffsetMs: live?.clockOffsetMs ?? null,
    commandKinds: row.commandKinds,
  };
}

/** @throws ControlPlaneError `NotFound` */
export function agentDetailOf(parts: Pick<ApiParts, 'catalog' | 'connections'>, agentId: string): AgentDetail {
  const { catalog } = parts;
  const row = catalog.select().from(agents).where(eq(agents.id, agentId)).get() ?? missing('agent', agentId);
  const held = catalog
    .select()
    .from(databases)
    .where(eq(databases.agentId, agentId))
    .orderBy(asc(databases.name))
    .all();
  return {
    ...agentOf(parts, row),
    databases: held.map(({ id, name, declared, allow }) => ({ id, name, declared, allow })),
    stores: storesOf(
      parts,
      agentId,
      held.map(({ id }) => id),
    ),
  };
}

/** The stores of these databases, with what the agent that looks after them has measured. */
export function storesOf(
  { catalog, connections }: Pick<ApiParts, 'catalog' | 'connections'>,
  agentId: string,
  databaseIds: readonly string[],
): Store[] {
  const facts = new Map(connections.stateOf(agentId)?.heartbeat?.stores.map((each) => [each.storeId, each]));
  return catalog
    .select()
    .from(stores)
    .where(inArray(stores.databaseId, [...databaseIds]))
    .orderBy(asc(stores.name), asc(stores.id))
    .all()
    .map(({ id, databaseId, name, type, location, declared }: StoreRow) => ({
      id,
      databaseId,
      name,
      type,
      location,
      declared,
      freeBytes: facts.get(id)?.freeBytes ?? null,
      error: facts.get(id)?.error ?? null,
    }));
}
