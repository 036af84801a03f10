import { newId, newSigningKey } from '@strideiq/core';
import { enrolAnswerSchema, enrolmentProof, enrolPath } from '@strideiq/protocol';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { runBody } from '../testing/reports.ts';

let server: TestControlPlane;
/** One that is over. */
const runId = newId(Date.now());

beforeAll(async () => {
  server = await startControlPlane();
  const host = server.host('production', 'db1');
  const link = await host.connect();
  await link.send(
    host.report('run', runBody(host, runId, 'failed', { error: { code: 'DumpFailed', text: 'It broke.' } })),
  );
  await link.close();
});
afterAll(async () => server.stop());

/** Bytes as curl would send them, and what comes back, over a real connection. */
async function raw(request: string): Promise<{ status: number; head: string; body: string }> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  // The other side may close before it has read all of it.
  socket.on('error', () => undefined);
  socket.end(request);
  const answer = await text(socket);
  const [head = '', ...rest] = answer.split('\r\n\r\n');
  return { status: Number(/^HTTP\/1.1 (\d+)/.exec(head)?.[1]), head: head.toLowerCase(), body: rest.join('\r\n\r\n') };
}

const bearer = () => `Authorization: Bearer ${server.adminKey}`;

describe('over the wire, as curl sends it', () => {
  const post = (path: string, body: string, type = 'application/json') =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${bearer()}\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${bearer()}\r\n\r\n`;

  test.each([
    ['an unknown path', () => get('/api/v1/nothing'), 404, 'NotFound'],
    ['an unknown path elsewhere', () => get('/wp-login.php'), 404, 'NotFound'],
    ['the wrong method', () => get('/api/v1/restores'), 404, 'NotFound'],
    ['a path that is none', () => get('/api/v1/%E0%A4%A'), 400, 'InputInvalid'],
    ['an id that is none', () => get("/api/v1/runs/1'%20OR%201=1"), 400, 'InputInvalid'],
    ['JSON that ends too early', () => post('/api/v1/backups', '{"databaseId":'), 400, 'InputInvalid'],
    ['JSON that is no object', () => post('/api/v1/backups', '[]'), 400, 'InputInvalid'],
    ['JSON that is a word', () => post('/api/v1/backups', '"x"'), 400, 'InputInvalid'],
    ['JSON that would be a prototype', () => post('/api/v1/backups', '{"__proto__":{"a":1}}'), 400, 'InputInvalid'],
    [
      'a form, as curl -d sends it',
      () => post('/api/v1/backups', 'a=b', 'application/x-www-form-urlencoded'),
      415,
      'InputInvalid',
    ],
    [
      'more than a mebibyte',
      () => post('/api/v1/backups', JSON.stringify({ databaseId: 'x'.repeat(1024 * 1024) })),
      413,
      'TooLarge',
    ],
    ['no WebSocket for an agent', () => get('/agent'), 426, 'InputInvalid'],
    ['an enrolment that is none', () => post('/agent/enrol', '{}'), 400, 'InputInvalid'],
  ])('%s is told as problem details', async (_, request, status, code) => {
    const answer = await raw(request());
    expect(answer.status).toBe(status);
    expect(answer.head).toContain('content-type: application/problem+json');
    expect(JSON.parse(answer.body)).toEqual(
      expect.objectContaining({
        type: `urn:strideiq:problem:${code}`,
        title: expect.any(String) as string,
        status,
        code,
        detail: expect.stringMatching(/\S/) as string,
      }),
    );
  });

  test('every answer says what browsers must not do with it', async () => {
    for (const path of ['/', '/api/v1/runs', '/api/v1/nothing', '/healthz']) {
      const { head } = await raw(get(path));
      for (const header of [
        'x-content-type-options: nosniff',
        'x-frame-options: deny',
        'referrer-policy: no-referrer',
        "default-src 'none'",
        'cache-control: no-store',
      ]) {
        expect(head).toContain(header);
      }
    }
  });

  test('HTTP/2 that is offered in plain text, as by curl --http2 and Java, is passed over', async () => {
    const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA';
    const { status, body } = await raw(`GET /api/v1/runs HTTP/1.1\r\nHost: x\r\n${offer}\r\n${bearer()}\r\n\r\n`);
    expect({ status, body }).toEqual({ status: 200, body: expect.stringContaining(runId) as string });
  });

  test.each([
    ['more than a mebibyte', { 'content-type': 'application/json' }, 'x'.repeat(1024 * 1024 + 1), 413, 'TooLarge'],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 'a=b', 415, 'InputInvalid'],
    [
      'an Idempotency-Key that is none',
      { 'content-type': 'application/json', 'idempotency-key': 'x'.repeat(201) },
      '{}',
      400,
      'InputInvalid',
    ],
  ])('our own clients are told too of %s', async (_, headers, body, status, code) => {
    const answer = await fetch(`${server.url}/trpc/backups.create`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.adminKey}`, ...headers },
      body,
    });
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ error: { data: { httpStatus: status, problem: { status, code } } } });
  });

  test('a body that is announced and empty is none', async () => {
    expect((await raw(post(`/api/v1/runs/${runId}/cancel`, ''))).body).toContain('RunNotActive');
  });
});

test('an error of our own keeps its words in the log', async () => {
  const before = server.log.length;
  server.catalog.$client.exec('ALTER TABLE run_log RENAME TO run_log_away');
  try {
    const input = encodeURIComponent(JSON.stringify({ runId }));
    for (const url of [`/api/v1/runs/${runId}/log`, `/trpc/runs.log?input=${input}`]) {
      const answer = await server.app.inject({ url, headers: { authorization: `Bearer ${server.adminKey}` } });
      expect(answer.statusCode).toBe(500);
      expect(answer.body).toContain('"code":"Unexpected"');
      expect(answer.body).not.toContain('run_log');
    }
    expect(server.log.slice(before).join('')).toMatch(/no such table: run_log/);
  } finally {
    server.catalog.$client.exec('ALTER TABLE run_log_away RENAME TO run_log');
  }
});

test('a host enrols by the token that an admin made, once, over the wire as agents do it', async () => {
  const { body } = await server.rest('POST', '/enroll-tokens', { body: { environment: 'enrolling' } });
  const token = body['token'] as string;
  const key = newSigningKey();
  const enrol = async () =>
    fetch(`${server.url}${enrolPath}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        token,
        environment: 'enrolling',
        hostname: 'db7',
        agentVersion: '0.1.0',
        publicKeyPem: key.publicPem,
        proof: enrolmentProof(token, key.privatePem),
      }),
    });
  const first = await enrol();
  expect(first.status).toBe(200);
  expect(enrolAnswerSchema.parse(await first.json())).toMatchObject({ environment: 'enrolling' });
  const second = await enrol();
  expect(second.status).toBe(401);
  expect(await second.json()).toMatchObject({ code: 'TokenInvalid' });
  expect(server.log.join('')).not.toContain(token);
});
