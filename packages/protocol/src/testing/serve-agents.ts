import { CodedError } from '@strideiq/core';
import { applyWSSHandler } from '@trpc/server/adapters/ws';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { createAgentRouter, type AgentHandlers } from '../agent-router.ts';
import { agentPath, keepAlive, mostMessageBytes } from '../limits.ts';

/** What a test serves to agents, over real sockets. */
export interface ServedAgents {
  url: string;
  port: number;
  /** Connections that are open now. */
  readonly connections: number;
  /** Ends every connection without a word. */
  cut: () => void;
  stop: () => Promise<void>;
}

/**
 * Serves the agent's procedures on a port of its own, as a control plane does and without being one.
 * @param admit whose connection it is, by its `Authorization` header, or why it is refused
 */
export async function serveAgents<Context extends object>(
  handlers: AgentHandlers<Context>,
  admit: (authorization: string | undefined) => Context | CodedError,
  port = 0,
): Promise<ServedAgents> {
  const contexts = new WeakMap<WebSocket, Context>();
  const sockets = new WebSocketServer({ noServer: true, maxPayload: mostMessageBytes });
  applyWSSHandler({
    wss: sockets,
    router: createAgentRouter(handlers),
    createContext: ({ res }) => contexts.get(res) ?? {},
    keepAlive: { enabled: true, pingMs: keepAlive.intervalMs, pongWaitMs: keepAlive.answerMs },
  });
  const server = createServer((_, response) => response.writeHead(404).end());
  server.on('upgrade', (request, socket, head) => {
    const context = request.url === agentPath ? admit(request.headers.authorization) : new CodedError('NotFound', '');
    if (context instanceof CodedError) {
      const header = `x-strideiq-error: ${context.code}: ${context.paragraph}`;
      socket.end(`HTTP/1.1 401 Unauthorized\r\n${header}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (open) => {
      contexts.set(open, context);
      sockets.emit('connection', open, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const address = server.address() as AddressInfo;
  const cut = () => {
    for (const socket of sockets.clients) socket.terminate();
  };
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    get connections() {
      return sockets.clients.size;
    },
    cut,
    async stop() {
      cut();
      sockets.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
