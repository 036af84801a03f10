import type { Heartbeat, HeartbeatAnswer } from '@strideiq/protocol';
import type { Catalog } from '../catalog/open-catalog.ts';
import { notePolicyOfAgent } from '../policies/kept-policies.ts';
import type { Connection } from './connection.ts';

/** What a host measured of itself: kept in memory for as long as it is connected, but for the policies it works by. */
export function takeHeartbeat(
  { catalog, now }: { catalog: Catalog; now: () => number },
  connection: Connection,
  heartbeat: Heartbeat,
): HeartbeatAnswer {
  const receivedAt = now();
  connection.saidTime(heartbeat.sentAt, receivedAt);
  connection.heartbeat = heartbeat;
  for (const { databaseId, policyVersion: version = null } of heartbeat.databases) {
    notePolicyOfAgent(catalog, { databaseId, agentId: connection.agentId, version });
  }
  return { serverTime: new Date(receivedAt).toISOString() };
}
