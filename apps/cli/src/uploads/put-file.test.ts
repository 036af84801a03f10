import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { putFile, sizeOfDump } from './put-file.ts';

const size = 64 * 1024 * 1024;
let directory: string;
let file: string;
let server: Server;
let answers: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-put-'));
  file = join(directory, 'dump.sql.gz');
  writeFileSync(file, '');
  truncateSync(file, size);
  server = createServer((request, response) => answers(request, response));
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  server.close().closeAllConnections();
  rmSync(directory, { recursive: true, force: true });
});

async function put(signal = new AbortController().signal): Promise<number> {
  let told = 0;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/there?signature=secret`;
  const to = { url, headers: { 'x-amz-server-side-encryption': 'AES256' } };
  await putFile(file, await sizeOfDump(file), to, { signal, tell: (bytes) => (told = bytes) });
  return told;
}

test('every byte arrives, with the headers that were signed', async () => {
  let arrived = 0;
  let headers: IncomingMessage['headers'] = {};
  answers = (request, response) => {
    headers = request.headers;
    request.on('data', (piece: Buffer) => (arrived += piece.length)).on('end', () => response.end());
  };
  expect(await put()).toBe(size);
  expect(arrived).toBe(size);
  expect(headers).toMatchObject({ 'content-length': String(size), 'x-amz-server-side-encryption': 'AES256' });
});

test('a bucket that refuses before it has heard all is told by its own words, and never by the URL', async () => {
  answers = (request, response) => {
    // One that hangs up with bytes unread resets the line, and its words may be lost on the way.
    request.resume();
    response.writeHead(403).end('<Code>AccessDenied</Code>');
  };
  await expect(put()).rejects.toMatchObject({
    code: 'Unreachable',
    message: expect.stringMatching(/^(?!.*secret).*it answered 403: <Code>AccessDenied/) as string,
  });
});

test('a line that is cut, and a file that is shorter than it was, are told', async () => {
  answers = (request) => void request.once('data', () => request.socket.destroy());
  await expect(put()).rejects.toMatchObject({ code: 'Unreachable' });
  answers = (request, response) => void request.resume().on('end', () => response.end());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const sending = putFile(
    file,
    size + 1,
    { url, headers: {} },
    { signal: AbortSignal.timeout(20_000), tell: () => undefined },
  );
  await expect(sending).rejects.toThrow(/has 67108864 bytes by now, and had 67108865/);
});

test('an interrupt is told as what it is', async () => {
  const interruption = new AbortController();
  answers = (request) => void request.once('data', () => interruption.abort(new Error('Interrupted')));
  await expect(put(interruption.signal)).rejects.toThrow('Interrupted');
});
