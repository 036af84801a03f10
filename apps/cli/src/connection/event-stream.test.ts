import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EventStream, StreamBroken } from './event-stream.ts';

let server: Server;
let address = '';
let answer: (response: ServerResponse) => void | Promise<void>;
let headers: Record<string, string | string[] | undefined> = {};

beforeEach(async () => {
  server = createServer((request, response) => {
    ({ headers } = request);
    void answer(response);
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

const stream = (response: ServerResponse) => response.writeHead(200, { 'content-type': 'text/event-stream' });

/** All that a stream tells until it breaks off. */
async function told(types: string[]): Promise<{ events: string[]; failure: unknown; states: number[] }> {
  const source = new EventStream(address, { headers: { authorization: 'Bearer siq_key' } });
  const events: string[] = [];
  const states = [source.readyState];
  for (const type of types) {
    source.addEventListener(type, (event) => {
      const { data, lastEventId } = event as MessageEvent;
      events.push(`${type}|${String(data)}|${lastEventId}`);
      states.push(source.readyState);
    });
  }
  return new Promise((resolve) => {
    source.addEventListener('error', (event) => {
      states.push(source.readyState);
      resolve({ events, failure: (event as StreamBroken).failure, states });
    });
  });
}

test('events arrive with type, data and id, however they are cut, and the key goes along', async () => {
  const text =
    ': comment\n\nevent: connected\ndata: {"a":1}\n\ndata: {"text":"grüß"}\r\n\r\nid: 7\ndata: one\ndata: two\n\nevent: ping\ndata: \n\nevent: return\ndata:\n\n';
  answer = async (response) => {
    stream(response);
    // Byte by byte: letters, lines and line ends are cut in two.
    for (const byte of Buffer.from(text)) {
      await new Promise<void>((resolve) => {
        response.write(Buffer.of(byte), () => setImmediate(resolve));
      });
    }
    response.end();
  };
  const { events, failure, states } = await told(['connected', 'message', 'ping', 'return']);
  expect(events).toEqual([
    'connected|{"a":1}|',
    'message|{"text":"grüß"}|',
    'message|one\ntwo|7',
    'ping||7',
    'return||7',
  ]);
  expect(failure).toMatchObject({ message: 'the control plane has ended the stream' });
  expect(states).toEqual([0, 1, 1, 1, 1, 1, 2]);
  expect(headers).toMatchObject({ authorization: 'Bearer siq_key', accept: 'text/event-stream' });
});

test('a refusal in the stream’s place is handed on', async () => {
  const refusal = { error: { message: 'no', code: -32001, data: { problem: { code: 'KeyInvalid' } } } };
  answer = (response) => {
    response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify(refusal));
  };
  expect((await told([])).failure).toEqual(refusal);
});

test('a page of something else is no stream', async () => {
  answer = (response) => {
    response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>502</h1>');
  };
  expect((await told([])).failure).toMatchObject({ message: 'it answered 502' });
});

test('a cut connection ends it, and one that was closed says nothing', async () => {
  answer = (response) => {
    stream(response).write('data: one\n\n');
    setImmediate(() => response.destroy());
  };
  const { events, states } = await told(['message']);
  expect(events.length).toBeLessThanOrEqual(1);
  expect(states.at(-1)).toBe(2);

  const gone = Promise.withResolvers<void>();
  answer = (response) => {
    stream(response).write('data: one\n\n');
    response.on('close', () => gone.resolve());
  };
  const source = new EventStream(address, { headers: {} });
  let broken = false;
  source.addEventListener('error', () => {
    broken = true;
  });
  source.addEventListener('message', () => source.close());
  await gone.promise;
  expect([source.readyState, broken]).toEqual([2, false]);
});
