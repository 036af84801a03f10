import { CodedError, codeOf, paragraphOf } from '@strideiq/core';
import { agentPath, createAgentRouter, keepAlive, mostMessageBytes } from '@strideiq/protocol';
import type { TRPCError } from '@trpc/server';
import { applyWSSHandler } from '@trpc/server/adapters/ws';
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { ControlPlaneError } from '../errors.ts';
import { authenticate } from './authenticate.ts';
import { Connection, type AgentIdentity } from './connection.ts';
import { agentHandlers, type HandlerParts } from './handlers.ts';

export type AgentGatewayParts = HandlerParts;

/** How long a host may take to say goodbye when the control plane stops. */
const goodbyeMs = 1000;

/** Where agents connect: the WebSocket at `agentPath`, and the procedures behind it. */
export class AgentGateway {
  readonly #parts: AgentGatewayParts;
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: mostMessageBytes });
  readonly #connections = new WeakMap<WebSocket, Connection>();
  readonly #detach: (() => void)[] = [];

  constructor(parts: AgentGatewayParts) {
    this.#parts = parts;
    applyWSSHandler({
      wss: this.#sockets,
      router: createAgentRouter(agentHandlers(parts)),
      createContext: ({ res }) => this.#connections.get(res) ?? {},
      keepAlive: { enabled: true, pingMs: keepAlive.intervalMs, pongWaitMs: keepAlive.answerMs },
      // Several of one moment travel together; nobody has more to say at once.
      maxBatchSize: 50,
      onError: ({ error, path, ctx }) => this.#logRefusal(error, path, ctx),
    });
  }

  /** Takes the upgrades to `agentPath` of a server that listens or will; it leaves the server's other requests alone. */
  attach(server: HttpServer | HttpsServer): void {
    this.#parts.connections.forgetFormer();
    const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (pathOf(request) === agentPath) this.#admit(request, socket, head);
      else if (server.listenerCount('upgrade') === 1) refuse(socket, '404 Not Found');
    };
    server.on('upgrade', onUpgrade);
    this.#detach.push(() => server.off('upgrade', onUpgrade));
  }

  /** Ends every connection, and takes no more; once it resolves, nothing of it touches the catalog any more. */
  async close(): Promise<void> {
    for (const detach of this.#detach) detach();
    const ended = [...this.#sockets.clients].map(
      async (socket) =>
        await new Promise<void>((resolve) => {
          socket.once('close', () => resolve());
          socket.close(1001, 'the control plane stops');
          setTimeout(() => socket.terminate(), goodbyeMs).unref();
        }),
    );
    await Promise.all(ended);
    this.#sockets.close();
  }

  /** What is told to the agent too. Never what it had sent: URLs are secrets. */
  #logRefusal(error: TRPCError, path: string | undefined, context: unknown): void {
    const connection = context instanceof Connection ? context : undefined;
    // Nobody is there to be refused anything.
    if (connection?.isOpen === false && path !== undefined) return;
    const { cause = error } = error;
    const told = { agentId: connection?.agentId, message: path, code: codeOf(cause) };
    const text = paragraphOf(cause).slice(0, 2000);
    // A message that is none, or a socket that broke, is the other side's doing.
    if (cause instanceof CodedError || error.code !== 'INTERNAL_SERVER_ERROR' || path === undefined) {
      this.#parts.log.warn(told, `an agent's message was refused: ${text}`);
    } else {
      this.#parts.log.error({ ...told, err: cause }, `an agent's message failed: ${text}`);
    }
  }

  #admit(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until ws takes it over, nobody else listens.
    socket.on('error', () => socket.destroy());
    const { catalog, log } = this.#parts;
    let identity: AgentIdentity;
    try {
      identity = authenticate(catalog, request.headers.authorization);
    } catch (error) {
      const refused = error instanceof ControlPlaneError;
      if (!refused) log.error({ err: error }, `an agent could not be let in: ${paragraphOf(error)}`);
      const [status, code] = refused ? ['401 Unauthorized', error.code] : ['503 Service Unavailable', 'Unexpected'];
      const text = refused ? error.paragraph : 'The control plane failed at this; its log tells why.';
      refuse(socket, status, `${code}: ${text}`);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (open) => this.#begin(open, request, identity));
  }

  #begin(socket: WebSocket, request: IncomingMessage, identity: AgentIdentity): void {
    const { connections, now, log } = this.#parts;
    const connection = new Connection(socket, identity, now());
    const { agentId } = identity;
    const written = (transition: 'connected' | 'disconnected', write: () => void) => {
      try {
        write();
        log.info({ agentId }, `an agent is ${transition}`);
      } catch (error) {
        log.error({ agentId, code: codeOf(error), err: error }, `that an agent is ${transition} was not written down`);
        connection.terminate();
      }
    };
    this.#connections.set(socket, connection);
    socket.once('close', () => written('disconnected', () => connections.remove(connection)));
    socket.on('message', () => connection.checkWaiting());
    written('connected', () => connections.add(connection));
    this.#sockets.emit('connection', socket, request);
  }
}

function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? '';
}

/** Answers an upgrade with no. The reason stands in a header, since a client's WebSocket shows it no body. */
function refuse(socket: Duplex, status: string, why?: string): void {
  const said = why === undefined ? '' : `x-strideiq-error: ${why.replaceAll(/[^\x20-\x7e]/g, '?')}\r\n`;
  socket.end(`HTTP/1.1 ${status}\r\n${said}Connection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}
