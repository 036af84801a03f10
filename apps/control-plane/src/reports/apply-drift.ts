import type { DriftReport } from '@strideiq/protocol';
import { and, eq, ne } from 'drizzle-orm';
import { copies } from '../catalog/schema.ts';
import { writeDrift } from '../drift/record-drift.ts';
import { isOwnStore, notOwned, ownDatabase } from './owned.ts';
import type { Reported } from './reported.ts';

/** How a store differs from what its host knows of it. Backups that only another host has told of are none that nobody knows. */
export function applyDrift({ tx, agentId, now }: Reported, { databaseId, storeId, items }: DriftReport): void {
  ownDatabase(tx, agentId, databaseId);
  if (!isOwnStore(tx, databaseId, storeId)) notOwned('store', storeId);
  const known = new Set(
    tx
      .select({ key: copies.key })
      .from(copies)
      .where(and(eq(copies.storeId, storeId), ne(copies.state, 'deleted')))
      .all()
      .map(({ key }) => key),
  );
  const found = items.filter(({ kind, key }) => kind !== 'unknown' || !known.has(key));
  writeDrift(tx, { storeId, by: 'agent', found, now });
}
