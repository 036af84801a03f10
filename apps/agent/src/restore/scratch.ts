import { codeOf } from '@strideiq/core';
import { AgentError } from '../errors.ts';
import { connect, endConnection, type Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';

/** The database that a restore fills, before it bears the name that was asked for. */
export class Scratch {
  readonly #endpoint: Endpoint;
  readonly #applicationName: string;
  readonly #signal: AbortSignal;
  readonly #beforeConnect: () => Promise<void>;

  /** @param beforeConnect has the server let the endpoint's role in */
  constructor(
    endpoint: Endpoint,
    applicationName: string,
    signal: AbortSignal,
    beforeConnect: () => Promise<void> = async () => undefined,
  ) {
    this.#endpoint = endpoint;
    this.#applicationName = applicationName;
    this.#signal = signal;
    this.#beforeConnect = beforeConnect;
  }

  /** A connection that whoever asked for it ends. */
  async connect(): Promise<Connection> {
    await this.#beforeConnect();
    return connect(this.#endpoint, { applicationName: this.#applicationName });
  }

  /** Work over some connections, ended by an interrupt also in the middle of a statement that runs for an hour. */
  async on<T>(count: number, work: (connections: [Connection, ...Connection[]]) => Promise<T>): Promise<T> {
    this.#signal.throwIfAborted();
    const connections: [Connection, ...Connection[]] = [await this.connect()];
    const cut = () => {
      for (const connection of connections) void endConnection(connection, 0);
    };
    this.#signal.addEventListener('abort', cut, { once: true });
    try {
      await this.#addTo(connections, count);
      return await work(connections);
    } catch (error) {
      // What the others are in the middle of is for nothing.
      cut();
      // Whether something was committed is not for an interrupt to say.
      throw this.#signal.aborted && codeOf(error) !== 'OutcomeUnknown' ? this.#signal.reason : error;
    } finally {
      this.#signal.removeEventListener('abort', cut);
      await Promise.all(connections.map(async (connection) => endConnection(connection)));
    }
  }

  /** As many as the server lets in: one is enough. */
  async #addTo(connections: Connection[], count: number): Promise<void> {
    try {
      while (connections.length < count) connections.push(await this.connect());
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
    }
  }
}
