import type { AgentConnections } from '../agents/agent-connections.ts';
import type { Catalog } from '../catalog/open-catalog.ts';
import type { Channel } from '../channels/open-channel.ts';
import type { Enrolment } from '../enrolment/enrolment.ts';
import type { AccessRefusals } from '../keys/access-refusals.ts';
import type { ApiKeys, Asking } from '../keys/api-keys.ts';
import type { Followers } from './followers.ts';
import type { LiveRuns } from '../runs/live-runs.ts';
import type { BucketKeeper } from '../stores/bucket-keeper.ts';
import type { WorkRequests } from '../runs/work-requests.ts';

/** What procedures work with; built once, in `compose.ts`. */
export interface ApiParts {
  catalog: Catalog;
  now: () => number;
  /** Milliseconds since 1970. */
  startedAt: number;
  keys: ApiKeys;
  refusals: AccessRefusals;
  connections: AgentConnections;
  enrolment: Enrolment;
  work: WorkRequests;
  /** Where alerts are told, by name. */
  channels: ReadonlyMap<string, Channel>;
  /** Where people look at it; undefined where nobody said. */
  publicUrl: string | undefined;
  buckets: Pick<BucketKeeper, 'keep' | 'look'>;
  liveRuns: LiveRuns;
  followers: Followers;
  /** Aborted when the program stops: what goes on telling ends. */
  stopping: AbortSignal;
}

/** What is known of one request. */
export interface ApiContext {
  parts: ApiParts;
  asking: Asking;
  /** Looks up anew who asks: what goes on for long must end once a key is revoked. */
  askAgain: () => Asking;
  /** Where the request came from, for the audit. */
  address: string;
  /** The header `Idempotency-Key`. */
  idempotencyKey?: string | undefined;
}
