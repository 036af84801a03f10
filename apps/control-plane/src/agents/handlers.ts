import type { AgentHandlers } from '@strideiq/protocol';
import type { Catalog } from '../catalog/open-catalog.ts';
import { acknowledge } from '../commands/acknowledge.ts';
import { deliverCommands } from '../commands/deliver-commands.ts';
import type { PresignRequests } from '../copies/presign-requests.ts';
import type { SourceUrls } from '../copies/source-urls.ts';
import { ControlPlaneError } from '../errors.ts';
import type { Log } from '../log.ts';
import { deliverPolicies } from '../policies/deliver-policies.ts';
import { recordReports } from '../reports/record-reports.ts';
import type { LiveRuns } from '../runs/live-runs.ts';
import { settleRuns } from '../runs/settle-runs.ts';
import { takeProgress } from '../runs/take-progress.ts';
import type { AgentConnections } from './agent-connections.ts';
import { checkCredential } from './authenticate.ts';
import type { Connection } from './connection.ts';
import { takeHeartbeat } from './heartbeat.ts';
import { takeHello } from './hello.ts';

export interface HandlerParts {
  catalog: Catalog;
  now: () => number;
  connections: AgentConnections;
  liveRuns: LiveRuns;
  sourceUrls: SourceUrls;
  presigns: PresignRequests;
  log: Log;
}

/** What each of an agent's messages does. Those that change the catalog are done one at a time, in the order they came in. */
export function agentHandlers(parts: HandlerParts): AgentHandlers<Connection> {
  /** Before anything else of any message: whose it is, and whether that still holds. */
  const admit = (connection: Connection, { first = false } = {}) => {
    connection.lastSeenAt = parts.now();
    // What was read before it was ended is not done any more: another connection may have taken its place.
    if (!connection.isOpen) throw connectionOver();
    try {
      checkCredential(parts.catalog, connection);
    } catch (error) {
      connection.terminate();
      throw error;
    }
    if (!first && !connection.hello) throw helloMissing();
  };
  const inTurn = async <T>(connection: Connection, work: () => T, options?: { first: boolean }): Promise<T> =>
    await connection.counted(async () =>
      connection.inTurn(() => {
        admit(connection, options);
        return work();
      }),
    );
  const beside = async <T>(connection: Connection, work: () => T | Promise<T>): Promise<T> =>
    await connection.counted(async () => {
      admit(connection);
      return await work();
    });
  return {
    hello: async (of, hello) => await inTurn(of, () => takeHello(parts, of, hello), { first: true }),
    report: async (of, batch) => await inTurn(of, () => recordReports(parts, of, batch)),
    settled: async (of, settled) => await inTurn(of, () => settleRuns(parts, of.agentId, settled)),
    acknowledge: async (of, { commandId }) => await inTurn(of, () => acknowledge(parts, of.agentId, commandId)),
    heartbeat: async (of, heartbeat) => await beside(of, () => takeHeartbeat(parts, of, heartbeat)),
    progress: async (of, progress) => await beside(of, () => takeProgress(parts, of.agentId, progress)),
    sourceUrls: async (of, { commandId }) =>
      await beside(of, async () => await parts.sourceUrls.urlsFor(of.agentId, commandId)),
    presigned: async (of, presigned) => await beside(of, () => parts.presigns.answer(of.agentId, presigned)),
    async *commands(of, signal) {
      admit(of);
      yield* deliverCommands(parts, of, signal);
    },
    async *policies(of, signal) {
      admit(of);
      yield* deliverPolicies(parts, of, signal);
    },
  };
}

function connectionOver(): ControlPlaneError {
  return new ControlPlaneError('Unexpected', 'The connection has ended.', 'Connect anew, and send it again.');
}

function helloMissing(): ControlPlaneError {
  return new ControlPlaneError(
    'HelloMissing',
    'The agent has sent something else before its hello.',
    'A connection begins with hello, which says what the host is and knows.',
  );
}
