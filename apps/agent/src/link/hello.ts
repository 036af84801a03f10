import { databaseIdOf } from '@strideiq/core';
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
import { policyOf, type KeptPolicies } from '../policies/kept-policies.ts';
import { reachableStores, storeIdOfPlace } from '../stores/reachable-stores.ts';
import { agentVersion } from '../version.ts';

/** What this host says of itself on every connection: what it looks after, where it keeps it, and what may be asked of it. */
export function helloOf(policies: KeptPolicies, { journalId, lastSeq }: JournalPosition, nowMs: number): Hello {
  const { file } = policies;
  return {
    protocol: spokenProtocols,
    agentVersion,
    hostname: hostname(),
    sentAt: new Date(nowMs).toISOString(),
    commandKinds: [...commandKinds],
    journalId,
    lastSeq,
    databases: Object.values(file.databases).map((database) => {
      const { version } = policies.of(databaseIdOf(file.environment, database.name));
      return { ...declared(file, database), ...(version === undefined ? {} : { policyVersion: version }) };
    }),
    reachableStoreIds: [...reachableStores(file).keys()],
  };
}

function declared(configuration: AgentConfiguration, database: DatabaseConfiguration): DeclaredDatabase {
  return {
    name: database.name,
    stores: storesOf(configuration, database).map(declaredStore),
    allow: [...database.allow],
    policy: policyOf(database),
    ...(database.goneSince === undefined ? {} : { gone: true }),
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
