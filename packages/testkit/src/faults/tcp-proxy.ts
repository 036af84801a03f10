import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { FaultyLink, type LinkFault } from './faulty-link.ts';

/** Applies to both directions; what a direction says of its own comes first. */
export interface TcpFault extends LinkFault {
  toServer?: LinkFault;
  toClient?: LinkFault;
  /** New connections are refused; those that there are live on. */
  refuse?: boolean;
}

interface Connection {
  client: Socket;
  server: Socket;
  links: FaultyLink[];
}

/** Stands between a client and a TCP server on the loopback, and does harm where told to. */
export class TcpProxy {
  readonly host = '127.0.0.1';
  readonly #to: { host: string; port: number };
  readonly #connections = new Set<Connection>();
  #listener: Server | undefined;
  #port = 0;
  #accepted = 0;
  #fault: TcpFault = {};

  /** @internal Proxies are made by {@link startTcpProxy}. */
  constructor(to: { host: string; port: number }) {
    this.#to = to;
  }

  get port(): number {
    return this.#port;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Connections that were taken since the start. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Replaces the fault for all connections, those that are open included; `{}` ends it. */
  async set(fault: TcpFault): Promise<void> {
    this.#fault = fault;
    for (const { links } of this.#connections) for (const link of links) link.reconsider();
    if (fault.refuse === true) this.#close();
    else await this.listen();
  }

  /** Resets every connection that is open now; new ones are taken as before. */
  cut(): void {
    for (const connection of this.#connections) reset(connection);
  }

  /** @internal */
  async listen(): Promise<void> {
    if (this.#listener) return;
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
    this.#listener = listener;
    listener.listen(this.#port, this.host);
    await once(listener, 'listening');
    this.#port = (listener.address() as AddressInfo).port;
  }

  #close(): void {
    const listener = this.#listener;
    this.#listener = undefined;
    // Its end is not awaited: that comes with the last of its connections, which may live on. It listens no more at once.
    listener?.close();
  }

  #accept(client: Socket): void {
    this.#accepted += 1;
    const server = connect({ ...this.#to, allowHalfOpen: true, noDelay: true });
    const connection: Connection = { client, server, links: [] };
    const end = (): void => reset(connection);
    connection.links = [
      new FaultyLink(client, server, () => ({ ...this.#fault, ...this.#fault.toServer }), end),
      new FaultyLink(server, client, () => ({ ...this.#fault, ...this.#fault.toClient }), end),
    ];
    this.#connections.add(connection);
    for (const socket of [client, server]) {
      socket.on('error', end);
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) this.#connections.delete(connection);
      });
    }
  }

  /** Cuts every connection and listens no more. */
  async stop(): Promise<void> {
    const closed = this.#listener ? once(this.#listener, 'close') : undefined;
    this.#close();
    this.cut();
    await closed;
  }
}

function reset({ client, server, links }: Connection): void {
  for (const link of links) link.stop();
  client.resetAndDestroy();
  server.resetAndDestroy();
}

/** A proxy on a port of its own that does no harm until told to. */
export async function startTcpProxy(options: { to: { host: string; port: number } }): Promise<TcpProxy> {
  const proxy = new TcpProxy(options.to);
  await proxy.listen();
  return proxy;
}
