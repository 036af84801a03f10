import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startControlPlane, type TestControlPlane } from '../testing/control-plane.ts';

let server: TestControlPlane;
beforeEach(async () => {
  server = await startControlPlane();
});
afterEach(async () => server.stop());

const get = async (url: string) => server.app.inject({ url });

test('it lives, and is ready as long as the catalog can be written', async () => {
  expect((await get('/healthz')).json()).toEqual({ status: 'ok' });
  expect(await get('/readyz')).toMatchObject({ statusCode: 200 });
  // As on a disk that has gone read-only.
  server.catalog.$client.pragma('query_only = ON');
  server.clock.now += 5000;
  const broken = await get('/readyz');
  expect({ status: broken.statusCode, body: broken.json<object>() }).toEqual({
    status: 503,
    body: { status: 'not ready', problem: 'the catalog cannot be written (SQLITE_READONLY)' },
  });
  expect((await get('/healthz')).statusCode).toBe(200);
  // Who asks is answered all the same.
  expect((await server.rest('GET', '/runs')).status).toBe(200);
  server.catalog.$client.pragma('query_only = OFF');
  server.clock.now += 5000;
  expect((await get('/readyz')).statusCode).toBe(200);
});

test('the page says what is there, by no means but its own words and style', async () => {
  const { body, headers } = await get('/');
  expect(headers['content-type']).toContain('text/html');
  expect(body).toContain('href="/api/v1/openapi.json"');
  expect(body).toContain('name="viewport"');
  expect(body).not.toMatch(/<script|<img|https?:|url\(/);
  const policy = String(headers['content-security-policy']);
  expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/=]+';/);
  const style = /<style>([^]*)<\/style>/.exec(body)?.[1] ?? '';
  expect(policy).toContain(createHash('sha256').update(style).digest('base64'));
});
