import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';

/** One message, as it crossed the wire. */
export interface Crossed {
  /** Whose connection: the order in which they were made. */
  connection: number;
  from: 'agent' | 'control-plane';
  /** Path of an HTTP request, or none for a message of a WebSocket. */
  path?: string;
  message: unknown;
}

/** Stands between agents and a control plane, and writes down what they say to each other. */
export class WireTap {
  readonly crossed: Crossed[] = [];
  readonly #server: Server;
  readonly #to: number;
  readonly #sockets = new Set<Socket>();
  #connections = 0;

  private constructor(to: number) {
    this.#to = to;
    this.#server = createServer((request, response) => {
      void this.#forward(request).then(({ status, body }) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(body);
      });
    });
    this.#server.on('upgrade', (request, client: Socket, head: Buffer) => this.#join(request, client, head));
  }

  static async start(to: number): Promise<WireTap> {
    const tap = new WireTap(to);
    await new Promise<void>((resolve) => tap.#server.listen(0, '127.0.0.1', resolve));
    return tap;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #forward(request: IncomingMessage): Promise<{ status: number; body: string }> {
    const { method = 'GET', url: path = '/' } = request;
    const asked = await text(request);
    const answer = await fetch(`http://127.0.0.1:${this.#to}${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(method === 'GET' ? {} : { body: asked }),
    });
    const body = await answer.text();
    if (method === 'POST') {
      this.crossed.push({ connection: 0, from: 'agent', path, message: JSON.parse(asked) });
      this.crossed.push({ connection: 0, from: 'control-plane', path, message: JSON.parse(body) });
    }
    return { status: answer.status, body };
  }

  #join(request: IncomingMessage, client: Socket, head: Buffer): void {
    const connection = ++this.#connections;
    const server = connect(this.#to, '127.0.0.1');
    const fields = request.rawHeaders.flatMap((name, at, all) => (at % 2 === 0 ? [`${name}: ${all[at + 1]}\r\n`] : []));
    server.write(`GET ${request.url} HTTP/1.1\r\n${fields.join('')}\r\n`);
    server.write(head);
    const write = (from: Crossed['from']) => (message: unknown) => this.crossed.push({ connection, from, message });
    const said = new Frames(write('agent'), head);
    const answered = new Frames(write('control-plane'));
    let handshake = Buffer.alloc(0);
    client.on('data', (bytes) => said.take(bytes));
    server.on('data', (bytes) => {
      if (handshake.includes('\r\n\r\n')) return answered.take(bytes);
      handshake = Buffer.concat([handshake, bytes]);
      const end = handshake.indexOf('\r\n\r\n');
      if (end >= 0) answered.take(handshake.subarray(end + 4));
    });
    client.pipe(server).pipe(client);
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => [client, server].forEach((each) => each.destroy()));
      socket.on('close', () => this.#sockets.delete(socket));
    }
  }
}

const textFrame = 1;

/** Reads the messages of one direction of a WebSocket (RFC 6455, section 5.2). Neither side cuts one into several frames. */
class Frames {
  readonly #onMessage: (message: unknown) => void;
  #left: Buffer;

  constructor(onMessage: (message: unknown) => void, head: Buffer = Buffer.alloc(0)) {
    this.#onMessage = onMessage;
    this.#left = head;
  }

  take(bytes: Buffer): void {
    this.#left = Buffer.concat([this.#left, bytes]);
    for (let frame = this.#next(); frame; frame = this.#next()) {
      // What keeps the connection alive is no JSON.
      if (frame.kind !== textFrame || !/^[[{]/.test(frame.text)) continue;
      const message = JSON.parse(frame.text) as unknown;
      for (const each of Array.isArray(message) ? (message as unknown[]) : [message]) this.#onMessage(each);
    }
  }

  #next(): { kind: number; text: string } | undefined {
    const all = this.#left;
    if (all.length < 2) return undefined;
    const [first = 0, second = 0] = all;
    const short = second & 0x7f;
    const sizeAt = short === 126 ? 4 : short === 127 ? 10 : 2;
    const masked = (second & 0x80) !== 0;
    const start = sizeAt + (masked ? 4 : 0);
    if (all.length < start) return undefined;
    const size = short === 126 ? all.readUInt16BE(2) : short === 127 ? Number(all.readBigUInt64BE(2)) : short;
    if (all.length < start + size) return undefined;
    const payload = Buffer.from(all.subarray(start, start + size));
    if (masked) for (const at of payload.keys()) payload[at] = (payload[at] ?? 0) ^ (all[sizeAt + (at % 4)] ?? 0);
    this.#left = all.subarray(start + size);
    return { kind: first & 0x0f, text: payload.toString('utf8') };
  }
}
