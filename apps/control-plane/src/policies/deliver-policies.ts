import type { Policies, PushedPin } from '@strideiq/protocol';
import { and, desc, eq } from 'drizzle-orm';
import type { Connection } from '../agents/connection.ts';
import type { Catalog } from '../catalog/open-catalog.ts';
import { backups, databases, pins } from '../catalog/schema.ts';
import { policyInForce } from './kept-policies.ts';

/** Pins that one database's agent is told of, the newest first: a message has its limit. */
export const mostPins = 200;

/** What an agent says of a pin is for people who can look here for the rest. */
const mostReasonShown = 100;

/** The policies of an agent's databases, and all of them anew when one has changed. */
export async function* deliverPolicies(
  { catalog }: { catalog: Catalog },
  connection: Connection,
  subscription: AbortSignal,
): AsyncGenerator<Policies, void, undefined> {
  const signal = connection.subscribe('policies', subscription);
  let sent = '';
  while (!signal.aborted && connection.isOpen) {
    // Before the look, so that no change falls between the two.
    const woken = connection.nextWake;
    const now = policiesOf(catalog, connection.agentId);
    const text = JSON.stringify(now);
    if (text !== sent) {
      sent = text;
      yield now;
    }
    await woken;
  }
}

function policiesOf(catalog: Catalog, agentId: string): Policies {
  const own = and(eq(databases.agentId, agentId), eq(databases.declared, true));
  const ids = catalog.select({ id: databases.id }).from(databases).where(own).orderBy(databases.id).all();
  return {
    policies: ids.flatMap(({ id: databaseId }) => {
      const kept = policyInForce(catalog, databaseId);
      if (!kept) return [];
      const { version, policy } = kept;
      return [{ databaseId, version, policy, pins: pinsOf(catalog, databaseId) }];
    }),
  };
}

function pinsOf(catalog: Catalog, databaseId: string): PushedPin[] {
  return catalog
    .select({ objectName: backups.objectName, reason: pins.reason, until: pins.until })
    .from(pins)
    .innerJoin(backups, eq(backups.id, pins.backupId))
    .where(eq(backups.databaseId, databaseId))
    .orderBy(desc(pins.createdAt), desc(pins.backupId))
    .limit(mostPins)
    .all()
    .map(({ until, reason, ...pin }) => ({
      ...pin,
      reason: reason.slice(0, mostReasonShown),
      until: until === null ? null : new Date(until).toISOString(),
    }));
}
