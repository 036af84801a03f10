import type { Heartbeat } from '@strideiq/protocol';
import { eq, inArray, isNotNull } from 'drizzle-orm';
import type { Catalog } from '../catalog/open-catalog.ts';
import { agents } from '../catalog/schema.ts';

/** What is known of an agent while it is connected. */
export interface ConnectionState {
  connectedAt: number;
  /** Its last message of any kind. */
  lastSeenAt: number;
  /** The host's clock less ours, from its last word of the time; undefined before its first. */
  clockOffsetMs: number | undefined;
  /** Its last facts; undefined before the first. */
  heartbeat: Heartbeat | undefined;
}

/** One agent's connection, as those see it who do not speak over it. */
export interface AgentConnection extends ConnectionState {
  readonly agentId: string;
  /** Ends it at once. Called again, it does nothing. */
  readonly terminate: () => void;
  /** Says that there may be commands to send. */
  readonly wake: () => void;
}

/**
 * Which agents are connected: in memory, where heartbeats live too. The catalog learns the transitions alone, and now and
 * then when each was last seen.
 */
export class AgentConnections {
  readonly #catalog: Catalog;
  readonly #now: () => number;
  readonly #open = new Map<string, AgentConnection>();

  constructor({ catalog, now }: { catalog: Catalog; now: () => number }) {
    this.#catalog = catalog;
    this.#now = now;
  }

  /** Whoever was connected when the last process died is not any more. Called once by the process that serves. */
  forgetFormer(): void {
    this.#catalog.update(agents).set({ connectedAt: null }).where(isNotNull(agents.connectedAt)).run();
  }

  /** Undefined where it is not connected; the agents table knows when it was last seen. */
  stateOf(agentId: string): ConnectionState | undefined {
    return this.#open.get(agentId);
  }

  isConnected(agentId: string): boolean {
    return this.#open.has(agentId);
  }

  /** Has what is queued for an agent sent to it, where it is connected. Called after the commit. */
  wake(agentId: string): void {
    this.#open.get(agentId)?.wake();
  }

  /** Ends an agent's connection, where it has one: its credential is not taken any more. */
  disconnect(agentId: string): void {
    this.#open.get(agentId)?.terminate();
  }

  /** A newer connection of an agent takes the place of an older one, which the host may not know to be dead. */
  add(connection: AgentConnection): void {
    const { agentId, connectedAt } = connection;
    const older = this.#open.get(agentId);
    this.#open.set(agentId, connection);
    older?.terminate();
    this.#catalog.update(agents).set({ connectedAt, lastSeenAt: connectedAt }).where(eq(agents.id, agentId)).run();
  }

  /** One that was replaced is not the agent's any more, and says nothing of it. */
  remove(connection: AgentConnection): void {
    const { agentId } = connection;
    if (this.#open.get(agentId) !== connection) return;
    this.#open.delete(agentId);
    const gone = { connectedAt: null, lastSeenAt: this.#now() };
    this.#catalog.update(agents).set(gone).where(eq(agents.id, agentId)).run();
  }

  /** Writes down that those who are connected were seen, so that a crash does not make them look long gone. */
  noteSeen(): void {
    const seen = [...this.#open.keys()];
    if (seen.length === 0) return;
    this.#catalog.update(agents).set({ lastSeenAt: this.#now() }).where(inArray(agents.id, seen)).run();
  }
}
