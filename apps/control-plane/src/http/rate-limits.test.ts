import { afterEach, expect, test } from 'vitest';
import { startControlPlane, type TestControlPlane } from '../testing/control-plane.ts';

let server: TestControlPlane;
afterEach(async () => server.stop());

test('each key has its own measure, and what is more is refused with when to come back', async () => {
  server = await startControlPlane({ rateLimit: { perKey: 3, perAddress: 100 } });
  const [one, other] = [server.keyFor('viewer', null), server.keyFor('viewer', null)];
  const ask = async (key: string) => server.rest('GET', '/runs', { key });
  for (let n = 0; n < 3; n++) expect((await ask(one)).status).toBe(200);
  const refused = await ask(one);
  expect(refused).toMatchObject({ status: 429, body: { code: 'RateLimited', status: 429 } });
  expect(refused.headers['content-type']).toContain('application/problem+json');
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect((await ask(other)).status).toBe(200);
  // By whatever door.
  const trpc = await server.app.inject({
    url: '/trpc/system.whoami?input={}',
    headers: { authorization: `Bearer ${one}` },
  });
  expect(trpc.statusCode).toBe(429);
  expect(trpc.json()).toMatchObject({ error: { data: { problem: { code: 'RateLimited' } } } });
});

test('whoever has no good key is one address, whatever keys are tried and wherever', async () => {
  server = await startControlPlane({ rateLimit: { perKey: 100, perAddress: 5 } });
  const guess = async (n: number, path = '/api/v1/runs') =>
    server.app.inject({ url: path, headers: { authorization: `Bearer siq_${String(n).padStart(43, 'A')}` } });
  for (let n = 0; n < 5; n++) expect((await guess(n)).statusCode).toBe(401);
  expect((await guess(6)).statusCode).toBe(429);
  expect((await guess(7, '/api/v1/nowhere')).statusCode).toBe(429);
  expect((await server.app.inject({ method: 'POST', url: '/agent/enrol', payload: {} })).statusCode).toBe(429);
  // A good key from the same address is not punished for it, and a watchdog never is.
  expect((await server.rest('GET', '/runs')).status).toBe(200);
  for (let n = 0; n < 10; n++) expect((await server.app.inject({ url: '/healthz' })).statusCode).toBe(200);
});

test('an address is the one that a trusted proxy tells, and nobody else’s word', async () => {
  server = await startControlPlane({ rateLimit: { perKey: 100, perAddress: 1 }, trustedProxies: ['127.0.0.0/8'] });
  const from = async (address: string, remoteAddress = '127.0.0.1') =>
    (await server.app.inject({ url: '/', remoteAddress, headers: { 'x-forwarded-for': address } })).statusCode;
  expect([await from('192.0.2.1'), await from('192.0.2.2'), await from('192.0.2.1')]).toEqual([200, 200, 429]);
  expect([await from('192.0.2.3', '198.51.100.1'), await from('192.0.2.4', '198.51.100.1')]).toEqual([200, 429]);
});
