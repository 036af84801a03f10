import type { Heartbeat, Hello } from '@strideiq/protocol';
import type { WebSocket } from 'ws';
import { ControlPlaneError } from '../errors.ts';
import type { AgentConnection } from './agent-connections.ts';

/** Who has connected, as its credential says. */
export interface AgentIdentity {
  agentId: string;
  environment: string;
  credentialHash: string;
}

/** Messages of one agent that may be under way at a time; a well-behaved one has a handful. */
const mostAtOnce = 50;

/** Bytes that may wait to be sent. Whoever does not read what it asked for is cut off. */
const mostWaitingBytes = 1024 * 1024;

/** One agent's connection: what it said of itself, and the order in which its messages are taken. */
export class Connection implements AgentConnection {
  readonly agentId: string;
  readonly environment: string;
  readonly credentialHash: string;
  readonly connectedAt: number;
  lastSeenAt: number;
  clockOffsetMs: number | undefined;
  heartbeat: Heartbeat | undefined;
  /** Undefined until it has said hello. */
  hello: Hello | undefined;
  readonly #socket: WebSocket;
  #turn: Promise<unknown> = Promise.resolve();
  #atOnce = 0;
  #wake = Promise.withResolvers<void>();
  readonly #subscriptions = new Map<string, AbortController>();

  constructor(socket: WebSocket, identity: AgentIdentity, connectedAt: number) {
    this.#socket = socket;
    this.agentId = identity.agentId;
    this.environment = identity.environment;
    this.credentialHash = identity.credentialHash;
    this.connectedAt = connectedAt;
    this.lastSeenAt = connectedAt;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  get commandKinds(): readonly string[] {
    return this.hello?.commandKinds ?? [];
  }

  readonly terminate = (): void => {
    for (const subscription of this.#subscriptions.values()) subscription.abort();
    this.#socket.terminate();
  };

  readonly wake = (): void => {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  };

  /** Resolves when there may be commands to send, or a subscription to them has ended. */
  get nextWake(): Promise<void> {
    return this.#wake.promise;
  }

  /** The host's clock when it sent what came just now. */
  saidTime(sentAt: string, receivedAt: number): void {
    this.clockOffsetMs = Date.parse(sentAt) - receivedAt;
  }

  /** Cuts off whoever asks and does not read the answers. */
  checkWaiting(): void {
    if (this.#socket.bufferedAmount > mostWaitingBytes) this.terminate();
  }

  /** One subscription to each at a time: a newer one takes the place of the older. */
  subscribe(to: 'commands' | 'policies', signal: AbortSignal): AbortSignal {
    this.#subscriptions.get(to)?.abort();
    const subscription = new AbortController();
    this.#subscriptions.set(to, subscription);
    const either = AbortSignal.any([signal, subscription.signal]);
    either.addEventListener('abort', this.wake, { once: true });
    return either;
  }

  /** Does what changes the catalog after what was said before it, one at a time. */
  async inTurn<T>(work: () => T): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return await done;
  }

  /**
   * Does what a message asks for, while not too many others of the same agent are under way.
   * @throws ControlPlaneError `RateLimited`
   */
  async counted<T>(work: () => Promise<T>): Promise<T> {
    if (this.#atOnce >= mostAtOnce) {
      throw new ControlPlaneError(
        'RateLimited',
        `More than ${mostAtOnce} messages of this agent are under way at once.`,
        'Wait for the answers before sending more.',
      );
    }
    this.#atOnce++;
    try {
      return await work();
    } finally {
      this.#atOnce--;
    }
  }
}
