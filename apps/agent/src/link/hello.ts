import {
  commandKinds,
  spokenProtocols,
  type DeclaredDatabase,
  type DeclaredStore,
  type Hello,
} from '@strideiq/protocol';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import {
  storesOf,
  type AgentConfiguration,
  type DatabaseConfiguration,
  type PlacedStore,
} from '../configuration/index.ts';
import type { JournalPosition } from '../journal/outbox.ts';
import { reachableStores, storeIdOfPlace } from '../stores/reachable-stores.ts';
import { agentVersion } from '../version.ts';

/** What this host says of itself on every connection: what it looks after, where it keeps it, and what may be asked of it. */
export function helloOf(
  configuration: AgentConfiguration,
  { journalId, lastSeq }: JournalPosition,
  nowMs: number,
): Hello {
  return {
    protocol: spokenProtocols,
    agentVersion,
    hostname: hostname(),
    sentAt: new Date(nowMs).toISOString(),
    commandKinds: [...commandKinds],
    journalId,
    lastSeq,
    databases: Object.values(configuration.databases).map((database) => declared(configuration, database)),
    reachableStoreIds: [...reachableStores(configuration).keys()],
  };
}

function declared(configuration: AgentConfiguration, database: DatabaseConfiguration): DeclaredDatabase {
  const { name, allow, timezone, jitterMs, catchUp, catchUpLimitMs, retention, goneSince } = database;
  // Of one that its server has no more none is to be missed.
  const schedule = goneSince === undefined ? database.schedule : [];
  return {
    name,
    stores: storesOf(configuration, database).map(declaredStore),
    allow: [...allow],
    policy: {
      schedule: schedule.map(({ cron, stores }) => (stores ? { cron, stores } : cron)),
      timezone,
      jitterMs,
      catchUp,
      catchUpLimitMs,
      retention,
    },
  };
}

function declaredStore(placed: PlacedStore): DeclaredStore {
  const { name, type } = placed;
  const storeId = storeIdOfPlace(placed);
  if (type === 'directory') return { storeId, name, type, location: resolve(placed.path) };
  const { bucket, prefix, endpoint, region } = placed;
  const where = Object.fromEntries(Object.entries({ endpoint, region }).filter(([, value]) => value !== undefined));
  return { storeId, name, type, location: `s3://${bucket}/${prefix}`, s3: { bucket, prefix, ...where } };
}
