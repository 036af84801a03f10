import type { Heartbeat, RunProgress } from '@strideiq/protocol';
import type { Catalog } from '../catalog/open-catalog.ts';
import type { AccessRefusals } from '../keys/access-refusals.ts';
import type { ApiKeys, Asking } from '../keys/api-keys.ts';
import type { Requester } from './work.ts';

/** What is known of an agent while it is connected. Moments are milliseconds since 1970. */
export interface AgentState {
  connectedAt: number;
  lastSeenAt: number;
  /** The host's clock less ours. */
  clockOffsetMs: number | null;
  heartbeat?: Heartbeat | undefined;
}

/** What the API needs of the agents' connections. */
export interface Connections {
  readonly count: number;
  isConnected(agentId: string): boolean;
  /** Undefined while it is away. */
  stateOf(agentId: string): AgentState | undefined;
  /** Ends its connection, so that it says hello anew. */
  disconnect(agentId: string): void;
}

/** What the API asks of whoever turns requests into commands. Each checks what the host allows before it makes anything. */
export interface Work {
  backup(requester: Requester, request: { databaseId: string; storeIds?: string[] | undefined }): Started;
  verify(requester: Requester, request: { backupId: string; storeIds?: string[] | undefined }): Started;
  restore(
    requester: Requester,
    request: {
      source: { backupId: string } | { databaseId: string };
      target: { agentId: string; databaseId?: string; into: string };
    },
  ): Started;
  cancel(requester: Requester, request: { runId: string }): Started;
}
type Started = { runId: string } | Promise<{ runId: string }>;

/** What the API needs of the runs that are under way. */
export interface Live {
  progressOf(runId: string): RunProgress | undefined;
  /** Calls at each change of the run, its progress included. @returns what ends that */
  onChange(runId: string, changed: () => void): () => void;
}

/** What the API needs of enrolment. */
export interface Enrolling {
  createToken(environment: string, actor: string): { token: string; expiresAt: number };
  /** Takes the credential away and ends the connection. @throws ControlPlaneError `NotFound` */
  revoke(agentId: string, actor: string): void;
}

/** What procedures work with; built once, in `compose.ts`. */
export interface ApiParts {
  catalog: Catalog;
  now: () => number;
  startedAt: number;
  keys: ApiKeys;
  refusals: AccessRefusals;
  connections: Connections;
  work: Work;
  live: Live;
  enrolment: Enrolling;
}

/** What is known of one request. */
export interface ApiContext {
  parts: ApiParts;
  asking: Asking;
  /** Where the request came from, for the audit. */
  address: string;
  /** The header `Idempotency-Key`. */
  idempotencyKey?: string | undefined;
}
