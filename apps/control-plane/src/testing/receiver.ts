import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface Received {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A service on loopback that keeps what it is sent, and answers as the test says. */
export async function startReceiver(
  answer: (response: ServerResponse, received: Received) => void = (response) => response.end('ok'),
) {
  const received: Received[] = [];
  const state = { answer };
  const take = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '', headers } = request;
    const got = { method, path: url, headers, body: await text(request) };
    received.push(got);
    state.answer(response, got);
  };
  const server = createServer((request, response) => void take(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    state,
    /** What came, as JSON. */
    bodies: () => received.map(({ body }) => JSON.parse(body) as Record<string, unknown>),
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export type Receiver = Awaited<ReturnType<typeof startReceiver>>;
