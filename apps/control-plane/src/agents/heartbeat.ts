import type { Heartbeat, HeartbeatAnswer } from '@strideiq/protocol';
import type { Connection } from './connection.ts';

/** What a host measured of itself: kept in memory for as long as it is connected. */
export function takeHeartbeat(
  { now }: { now: () => number },
  connection: Connection,
  heartbeat: Heartbeat,
): HeartbeatAnswer {
  const receivedAt = now();
  connection.saidTime(heartbeat.sentAt, receivedAt);
  connection.heartbeat = heartbeat;
  return { serverTime: new Date(receivedAt).toISOString() };
}
