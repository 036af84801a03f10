import { databaseIdOf, safeName, storeIdOf } from '@strideiq/core';
import type { DeclaredDatabase, DeclaredStore, HelloAnswer } from '@strideiq/protocol';
import { s3LocationOf } from '@strideiq/storage';
import { eq, inArray } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { databases, stores } from '../catalog/schema.ts';
import type { ControlPlaneErrorCode } from '../errors.ts';
import { seedPolicy } from '../policies/kept-policies.ts';

type Refused = HelloAnswer['refusedDatabases'][number];

/** Why something that a host declares is not taken, for the database that it stands under. */
interface Why {
  code: ControlPlaneErrorCode;
  text: string;
}

/**
 * Writes down what a host's file names now, and marks what it names no more. A database belongs to the agent that named it
 * first, a store to the database: another one that names it is told so, and what it reports of it is refused.
 */
export function declareDatabases(
  tx: CatalogTransaction,
  { agentId, environment }: { agentId: string; environment: string },
  declared: readonly DeclaredDatabase[],
  now: number,
): Refused[] {
  const refused: Refused[] = [];
  const held = tx.select({ id: databases.id }).from(databases).where(eq(databases.agentId, agentId)).all();
  const heldIds = held.map(({ id }) => id);
  tx.update(databases).set({ declared: false }).where(eq(databases.agentId, agentId)).run();
  tx.update(stores).set({ declared: false }).where(inArray(stores.databaseId, heldIds)).run();
  for (const { name, stores, policyVersion = null, gone = false, ...rest } of declared) {
    const databaseId = databaseIdOf(environment, name);
    const refuse = ({ code, text }: Why) => refused.push({ name, code, text });
    const row = { id: databaseId, environment, name, agentId, runsPolicy: policyVersion, gone, ...rest };
    const why = claimDatabase(tx, row, now);
    if (why) {
      refuse(why);
      continue;
    }
    for (const store of stores) {
      const why = claimStore(tx, databaseId, store, now);
      if (why) refuse(why);
    }
    const problem = seedPolicy(tx, { databaseId, agentId, seed: rest.policy }, now);
    if (problem !== undefined) refuse({ code: 'InputInvalid', text: problem });
  }
  return refused;
}

function claimDatabase(
  tx: CatalogTransaction,
  row: Omit<typeof databases.$inferInsert, 'firstSeenAt' | 'declared'>,
  now: number,
): Why | undefined {
  const { id, name, agentId, allow, policy, runsPolicy, gone } = row;
  if (!safeName.test(name)) {
    return {
      code: 'InputInvalid',
      text: `${JSON.stringify(name)} cannot name a database: use letters, digits, dot, dash and underscore.`,
    };
  }
  const owner = tx.select({ agentId: databases.agentId }).from(databases).where(eq(databases.id, id)).get();
  if (owner && owner.agentId !== agentId) {
    const text = `The database ${name} belongs to the agent ${owner.agentId}: take it out of that host's file or this one's, or move it here (POST /api/v1/databases/${id}/move).`;
    return { code: 'DatabaseOwnedElsewhere', text };
  }
  tx.insert(databases)
    .values({ ...row, firstSeenAt: now, declared: true })
    .onConflictDoUpdate({ target: databases.id, set: { allow, policy, runsPolicy, gone, declared: true } })
    .run();
  return undefined;
}

function claimStore(
  tx: CatalogTransaction,
  databaseId: string,
  { storeId: id, name, type, location, s3 }: DeclaredStore,
  now: number,
): Why | undefined {
  if (s3 && !isPlaceOf(id, s3)) {
    // By its place the control plane's own credentials are found: nobody gets at a place by another one's id.
    return { code: 'InputInvalid', text: `The store ${name} is not at ${location}: its id is another place's.` };
  }
  const owner = tx
    .select({ databaseId: stores.databaseId, type: stores.type })
    .from(stores)
    .where(eq(stores.id, id))
    .get();
  // Of a bucket no host's word on deletions is taken: it is none the less one for being called a directory.
  if ((type === 's3') !== (s3 !== undefined) || (owner && owner.type !== type)) {
    return { code: 'InputInvalid', text: `The store ${name} is not what it is said to be: its id is another kind's.` };
  }
  if (owner && owner.databaseId !== databaseId) {
    const text = `The store ${name} (${location}) belongs to another database: give this one a prefix or a path of its own.`;
    return { code: 'StoreOwnedElsewhere', text };
  }
  const told = { name, type, location, s3: s3 ?? null, declared: true };
  tx.insert(stores)
    .values({ id, databaseId, firstSeenAt: now, ...told })
    .onConflictDoUpdate({ target: stores.id, set: told })
    .run();
  return undefined;
}

function isPlaceOf(storeId: string, { bucket, prefix, endpoint }: NonNullable<DeclaredStore['s3']>): boolean {
  try {
    return storeIdOf(s3LocationOf({ bucket, prefix, ...(endpoint === undefined ? {} : { endpoint }) })) === storeId;
  } catch {
    return false;
  }
}
