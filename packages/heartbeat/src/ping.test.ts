import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { heartbeatUrl } from './heartbeat-url.ts';
import { ping } from './ping.ts';

const server = createServer((request, response) => void take(request, response));
let answer = 200;
let heard: { method: string | undefined; url: string | undefined; body: string }[] = [];
async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
  heard.push({ method: request.method, url: request.url, body: await text(request) });
  response.writeHead(answer, { location: '/elsewhere' }).end('OK');
}
let base = '';
beforeEach(async () => {
  heard = [];
  answer = 200;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.close();
  await once(server, 'close');
});
const { signal } = new AbortController();

// https://healthchecks.io/docs/http_api/: /start, /fail, rid; https://healthchecks.io/docs/attaching_logs/: 100 kB.
test('says its word below the URL, keeps what the URL asks, and no more text than is kept', async () => {
  await ping(new URL(`${base}/key/slug/?create=1`), { kind: 'start', runId: 'a-run' }, signal);
  await ping(new URL(`${base}/key/slug`), { text: 'é'.repeat(100_000) }, signal);
  expect(heard[0]).toEqual({ method: 'POST', url: '/key/slug/start?create=1&rid=a-run', body: '' });
  expect(heard[1]).toMatchObject({ url: '/key/slug' });
  expect(Buffer.byteLength(heard[1]?.body ?? '')).toBe(100_000);
});

test('goes nowhere else, and says where it did not arrive', async () => {
  answer = 302;
  await expect(ping(new URL(base), {}, signal)).rejects.toThrow('it answered 302');
  answer = 404;
  await expect(ping(new URL(base), { kind: 'fail' }, signal)).rejects.toThrow('it answered 404');
  expect(heard).toHaveLength(2);
});

test('its URL is a secret, in every form, and is not told in the clear', async () => {
  const secrets = new Set<string>();
  const surroundings = { env: { PING: 'https://example.org/{name}' }, secrets, allowPlainText: false };
  const fill = (said: string) => said.replace('{name}', 'app');
  expect((await heartbeatUrl({ urlEnv: 'PING' }, { ...surroundings, fill })).href).toBe('https://example.org/app');
  expect(secrets).toContain('https://example.org/app');
  await expect(heartbeatUrl({ url: 'http://example.org/' }, surroundings)).rejects.toThrow('use https');
  await expect(heartbeatUrl({ urlEnv: 'NONE' }, surroundings)).rejects.toMatchObject({ code: 'SecretUnavailable' });
});
