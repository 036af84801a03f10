import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { patientFetch } from './patient-fetch.ts';

/** What stands before a control plane, and does what proxies and networks do. */
let server: Server;
let address = '';
let seen: IncomingMessage[] = [];
let answers: ((response: ServerResponse) => void)[] = [];
const notes: string[] = [];

beforeEach(async () => {
  seen = [];
  answers = [];
  notes.length = 0;
  server = createServer((request, response) => {
    seen.push(request);
    (answers.shift() ?? well)(response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(
  () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
);

const json = { 'content-type': 'application/json' };
const well = (response: ServerResponse) => response.writeHead(200, json).end('{"done":true}');
const cut = (response: ServerResponse) => response.destroy();
const cutInside = (response: ServerResponse) => {
  response.writeHead(200, { ...json, 'content-length': '100' }).write('{"do');
  setImmediate(() => response.destroy());
};
const away = (response: ServerResponse) => response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>502</h1>');

const asked = (signal = new AbortController().signal) =>
  patientFetch({ address, signal, note: (text) => notes.push(text), pausesMs: [1, 1, 1] });
const started = { method: 'POST', headers: { 'idempotency-key': 'one' }, body: '{}' };

describe('what does no harm twice is asked again', () => {
  test.each([
    ['cut before the answer', cut],
    ['cut inside the answer', cutInside],
    ['a proxy that finds nobody', away],
    ['too many at once', (response: ServerResponse) => response.writeHead(429, json).end('{}')],
  ])('%s', async (_, bad) => {
    for (const request of [{}, started]) {
      answers = [bad, bad];
      const response = await asked()(`${address}/trpc/a`, request);
      expect(await response.json()).toEqual({ done: true });
    }
    expect(seen).toHaveLength(6);
    expect(new Set(seen.slice(3).map(({ headers }) => headers['idempotency-key']))).toEqual(new Set(['one']));
    expect(notes).toHaveLength(4);
    expect(notes[0]).toContain(address);
  });

  test('but not without end', async () => {
    answers = [cut, cut, cut, cut, cut];
    await expect(asked()(address)).rejects.toMatchObject({
      code: 'Unreachable',
      message: expect.stringContaining(address) as string,
    });
    expect(seen).toHaveLength(4);
  });

  test('as long as asked for patience, the last answer is handed on', async () => {
    answers = Array.from(
      { length: 4 },
      () => (response) => response.writeHead(429, json).end('{"code":"RateLimited"}'),
    );
    const response = await asked()(address);
    expect([response.status, await response.json()]).toEqual([429, { code: 'RateLimited' }]);
  });
});

describe('what may do harm twice is asked once', () => {
  const made = { method: 'POST', body: '{}' };

  test.each([
    ['cut before the answer', cut],
    ['cut inside the answer', cutInside],
    ['a proxy that finds nobody', away],
  ])('%s', async (_, bad) => {
    answers = [bad];
    await expect(asked()(address, made)).rejects.toMatchObject({ code: 'OutcomeUnknown' });
    expect(seen).toHaveLength(1);
  });

  test('unless it never arrived', async () => {
    const port = (server.address() as AddressInfo).port;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    const answer = asked()(`http://127.0.0.1:${port}`, made);
    await expect(answer).rejects.toMatchObject({
      code: 'Unreachable',
      message: expect.stringContaining('ECONNREFUSED') as string,
    });
    expect(notes).toHaveLength(3);
  });
});

test('an answer that is no control plane’s is told as such', async () => {
  answers = [(response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>')];
  await expect(asked()(address)).rejects.toMatchObject({ code: 'AddressWrong' });
});

test('a redirect is not followed: the key stays where it belongs', async () => {
  answers = [(response) => response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end()];
  await expect(asked()(address, { headers: { authorization: 'Bearer x' } })).rejects.toMatchObject({
    code: 'AddressWrong',
    message: expect.stringContaining('points to http://127.0.0.1:9/') as string,
  });
  expect(seen).toHaveLength(1);
});

test('who is interrupted waits no longer', async () => {
  const interruption = new AbortController();
  answers = [() => interruption.abort(new Error('interrupted'))];
  await expect(asked(interruption.signal)(address)).rejects.toThrow('interrupted');
});
