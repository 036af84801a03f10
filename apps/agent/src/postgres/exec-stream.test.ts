import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ExecStream, tunnelCommand } from './exec-stream.ts';

/** A server that keeps both halves apart: whoever hangs up does so by its own doing. */
let server: Server;
let port: number;

beforeAll(async () => {
  server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});

afterAll(() => void server.close());

async function tunnel(): Promise<{ stream: ExecStream; socket: Socket }> {
  const stream = new ExecStream(tunnelCommand(['env'], [], port));
  const connected = once(server, 'connection') as Promise<[Socket]>;
  stream.connect();
  const [socket] = await connected;
  socket.on('error', () => undefined);
  return { stream, socket };
}

test('bytes go both ways, and the server hears of our end', async () => {
  const { stream, socket } = await tunnel();
  stream.write('to the server');
  expect(String(await once(socket, 'data'))).toBe('to the server');
  socket.write('to the client');
  expect(String(await once(stream, 'data'))).toBe('to the client');
  const ends = [once(socket, 'end'), once(socket, 'close'), once(stream, 'close')];
  socket.once('end', () => socket.end());
  stream.resume().end();
  await expect(Promise.all(ends)).resolves.toBeDefined();
});

test('a server that hangs up is an error, and a write under way is called back', async () => {
  const { stream, socket } = await tunnel();
  const failed = once(stream, 'error');
  const called = new Promise((resolve) => {
    // More than pipes and socket buffers take, and nobody reads.
    stream.write(Buffer.alloc(64 << 20), resolve);
  });
  socket.destroy();
  await expect(failed).resolves.toMatchObject([
    {
      code: 'ServerUnreachable',
      message: expect.stringContaining('`env bash -c …` that reaches the server ended') as string,
    },
  ]);
  await called;
});

test('a destroyed tunnel ends its session on the server', async () => {
  const { stream, socket } = await tunnel();
  const end = once(socket, 'end');
  socket.resume();
  stream.destroy();
  await expect(end).resolves.toEqual([]);
  socket.destroy();
});

test('nor does one stay that is destroyed while its command begins', async () => {
  const open = new Set<Socket>();
  const count = (socket: Socket) => {
    open.add(socket.resume().on('error', () => undefined));
    socket.once('end', () => socket.destroy()).once('close', () => open.delete(socket));
  };
  server.on('connection', count);
  for (let ms = 0; ms < 12; ms += 0.1) {
    const stream = new ExecStream(tunnelCommand(['env'], [], port));
    stream.on('error', () => undefined);
    stream.connect();
    await delay(ms);
    stream.destroy();
  }
  await expect(waitFor('every session to end', () => open.size === 0)).resolves.toBe(true);
  server.off('connection', count);
});

test('a command of one’s own is named whole', async () => {
  const stream = new ExecStream(tunnelCommand([], ['sh', '-c', 'echo no such host >&2; exit 7', 'last'], port));
  const failed = once(stream, 'error');
  stream.connect();
  const [error] = (await failed) as [Error];
  expect(error.message).toContain(
    '`sh -c echo no such host >&2; exit 7 last` that reaches the server ended: no such host',
  );
});
