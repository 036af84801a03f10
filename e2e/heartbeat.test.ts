import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentHost } from './agent-host.ts';

/** A dead man's switch hears of each backup from the shipped agent alone, before its command ends. */

const secret = 'a-ping-key-that-nobody-else-knows';
let cluster: PostgresCluster;
let service: Server;
let host: AgentHost;
const heard: { path: string; rid: string | null; body: string }[] = [];

beforeAll(async () => {
  cluster = await startPostgres();
  await cluster.createDatabase('app');
  service = createServer((request, response) => {
    void text(request).then((body) => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
      heard.push({ path: `${request.method} ${pathname}`, rid: searchParams.get('rid'), body });
      response.end('OK');
    });
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const { port } = service.address() as AddressInfo;
  const heartbeat = { urlEnv: 'PING_URL' };
  const env = { PING_URL: `http://127.0.0.1:${port}/${secret}/{environment}-{database}` };
  host = new AgentHost({ cluster, database: 'app', more: { heartbeat }, env });
}, 120_000);
afterAll(async () => {
  host?.remove();
  service?.close();
  await cluster?.stop();
});

test('a backup that is made and one that fails, by hand', async () => {
  const { runId } = await host.json('backup');
  expect(heard).toMatchObject([
    { path: `POST /${secret}/test-app/start`, rid: runId, body: '' },
    { path: `POST /${secret}/test-app`, rid: runId, body: expect.stringMatching(/succeeded\n.*\nlocal: stored/) },
  ]);
  const doctor = await host.run('doctor');
  expect(doctor.stdout).toMatch(/heartbeat: 127\.0\.0\.1:\d+ is told of backups/);
  await cluster.dropDatabase('app');
  const failed = await host.run('backup');
  expect(failed.code).toBe(1);
  expect(heard.slice(2)).toMatchObject([
    { path: `POST /${secret}/test-app/start` },
    {
      path: `POST /${secret}/test-app/fail`,
      body: expect.stringMatching(/failed\nThere is no database "app"[^]* error There is no/),
    },
  ]);
  for (const said of [doctor.stdout, doctor.stderr, failed.stdout, failed.stderr]) expect(said).not.toContain(secret);
  expect(heard.map(({ body }) => body).join()).not.toContain(secret);
});

test('a service that is gone fails no backup', async () => {
  await cluster.createDatabase('app');
  service.close();
  service.closeAllConnections();
  const { code, stderr } = await host.run('backup');
  expect([code, stderr]).toEqual([0, expect.stringContaining('the heartbeat of app did not arrive')]);
  expect(stderr).not.toContain(secret);
});
