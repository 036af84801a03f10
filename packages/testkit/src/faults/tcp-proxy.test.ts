import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { waitFor } from '../processes/wait.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

describe('startTcpProxy', () => {
  let server: Server;
  let proxy: TcpProxy;
  let clients: Socket[] = [];
  /** Sends everything back; ends its side when the client does. */
  beforeEach(async () => {
    server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy = await startTcpProxy({ to: { host: '127.0.0.1', port: (server.address() as AddressInfo).port } });
  });
  afterEach(async () => {
    for (const client of clients) client.destroy();
    clients = [];
    await proxy.stop();
    server.close();
  });

  const open = async (): Promise<Socket> => {
    const client = connect(proxy.port, proxy.host);
    clients.push(client);
    await once(client, 'connect');
    return client;
  };
  /** All that comes back for `bytes`. */
  const echo = async (bytes: Buffer): Promise<Buffer> => {
    const client = await open();
    client.end(bytes);
    return await buffer(client);
  };
  const megabyte = Buffer.from(Array.from({ length: 1_000_000 }, (_, at) => (at * 7) % 251));

  it('changes nothing and passes closings on where no fault is set', async () => {
    expect(megabyte.equals(await echo(megabyte))).toBe(true);
    expect(proxy.accepted).toBe(1);
    await waitFor('the connection to be forgotten', () => proxy.connections === 0);
  });

  it('delays by the latency without narrowing the link', async () => {
    await proxy.set({ latencyMs: 150 });
    const began = performance.now();
    expect(megabyte.equals(await echo(megabyte))).toBe(true);
    const tookMs = performance.now() - began;
    expect(tookMs).toBeGreaterThan(300);
    expect(tookMs).toBeLessThan(3000);
  });

  it('narrows one direction to the bandwidth', async () => {
    await proxy.set({ toClient: { bytesPerSecond: 2_000_000 } });
    const began = performance.now();
    expect(megabyte.equals(await echo(megabyte))).toBe(true);
    expect(performance.now() - began).toBeGreaterThan(480);
  });

  it('holds everything in a black hole, and lets go of it', async () => {
    const client = await open();
    await proxy.set({ blackHole: true });
    let arrived = 0;
    client.on('data', (bytes: Buffer) => (arrived += bytes.length));
    client.write('held');
    const other = await open();
    const passed = waitFor('bytes to pass', () => arrived > 0, { timeoutMs: 300 });
    await expect(passed).rejects.toThrow(/not within/);
    expect(other.readyState).toBe('open');
    await proxy.set({});
    await waitFor('the bytes', () => arrived === 4);
  });

  it('resets after exactly so many bytes of a direction', async () => {
    await proxy.set({ toClient: { resetAfterBytes: 300_000 } });
    const client = await open();
    let arrived = 0;
    client.on('data', (bytes: Buffer) => (arrived += bytes.length));
    const error = once(client, 'error');
    client.write(megabyte);
    expect(await error).toMatchObject([{ code: 'ECONNRESET' }]);
    expect(arrived).toBeLessThanOrEqual(300_000);
    await waitFor('the connection to be forgotten', () => proxy.connections === 0);
  });

  it('flips one bit, and of that direction alone', async () => {
    await proxy.set({ toServer: { corruptAtByte: 123_456 } });
    const back = await echo(megabyte);
    const wrong = [...back.entries()].filter(([at, byte]) => byte !== megabyte[at]);
    expect(wrong).toEqual([[123_456, (megabyte[123_456] ?? 0) ^ 1]]);
    await proxy.set({ toClient: { corruptAtByte: 0 } });
    expect((await echo(Buffer.from('a'))).toString()).toBe('`');
  });

  it('refuses new connections while old ones live, and takes them again on the same port', async () => {
    const old = await open();
    const { port } = proxy;
    await proxy.set({ refuse: true });
    await expect(open()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    old.end('still here');
    expect((await buffer(old)).toString()).toBe('still here');
    await proxy.set({});
    expect(proxy.port).toBe(port);
    expect((await echo(Buffer.from('again'))).toString()).toBe('again');
  });

  it('cuts what is open, and takes new connections', async () => {
    const client = await open();
    await waitFor('the connection', () => proxy.connections === 1);
    const error = once(client, 'error');
    proxy.cut();
    expect(await error).toMatchObject([{ code: 'ECONNRESET' }]);
    expect((await echo(Buffer.from('next'))).toString()).toBe('next');
  });

  it('ends the connection where the server cannot be reached', async () => {
    server.close();
    await once(server, 'close');
    const client = await open();
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
  });
});
