import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { newId } from '@strideiq/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Host } from '../compose.ts';
import { clearDatabase } from '../leftovers/clear-database.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';

/** A service on loopback that keeps what it hears, as far as healthchecks.io documents it: https://healthchecks.io/docs/http_api/ */
let service: Server;
let answers: number[];
let heard: { path: string; rid: string | null; body: string }[];
let agent: TestAgent;
let host: Host;
let warned: string[];

beforeEach(async () => {
  answers = [];
  heard = [];
  warned = [];
  service = createServer((request, response) => {
    void text(request).then((body) => {
      const url = new URL(request.url ?? '', 'http://localhost');
      heard.push({ path: `${request.method} ${url.pathname}`, rid: url.searchParams.get('rid'), body });
      response.writeHead(answers.shift() ?? 200).end('OK');
    });
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const { port } = service.address() as AddressInfo;
  const connection = { host: '127.0.0.1', port: 1, user: 'nobody' };
  const databases = { app: { connection, stores: ['local'], heartbeat: { urlFile: 'ping.url' } } };
  agent = new TestAgent({ controlPlane: new ScriptedControlPlane(), databases });
  writeFileSync(join(agent.directory, 'ping.url'), `http://127.0.0.1:${port}/a-secret/{environment}-{database}\n`);
  host = await agent.open();
  host.heartbeats.warn = (said) => warned.push(said);
  host.heartbeats.againAfterMs = [10, 20];
});
afterEach(async () => {
  await host.heartbeats.settled();
  host.close();
  await agent.remove();
  service.close();
});

const database = () => host.configuration.databases['app'] ?? expect.unreachable();
const begun = (more: object = {}) => {
  const run = { id: newId(Date.now()), kind: 'backup' as const, environment: 'test', database: 'app', detail: {} };
  const whole = { ...run, databaseId: agent.databaseId(), ...more };
  host.journal.begin(whole);
  return whole.id;
};
const copy = { storeId: newId(1), store: 'local', location: '/backups', dumpKey: 'app_20260111_030000.sql.gz' };
const stored = { ...copy, state: 'stored' as const, sizeBytes: 10 };
const at = '/a-secret/test-app';

test('a backup is told when it begins and when it is made, with the run that ties them', async () => {
  const id = begun();
  host.journal.finish(id, 'succeeded', { copies: [stored], rows: 3, bytes: 10 });
  await host.heartbeats.settled();
  expect(heard).toEqual([
    { path: `POST ${at}/start`, rid: id, body: '' },
    { path: `POST ${at}`, rid: id, body: 'Backup of app in test: succeeded\nlocal: stored' },
  ]);
});

test('one that failed is told with its log; one of which a copy failed has failed too', async () => {
  const id = begun();
  host.journal.log(id, 'info', 'dumping');
  host.journal.finish(id, 'failed', {}, { code: 'DumpFailed', text: 'pg_dump ended with 1.' });
  const partly = begun();
  const failed = { ...copy, store: 's3', state: 'failed' as const, errorCode: 'AccessDenied', error: 'It is refused.' };
  host.journal.finish(partly, 'succeeded', { copies: [stored, failed] });
  await host.heartbeats.settled();
  const ends = heard.filter(({ path }) => path === `POST ${at}/fail`);
  expect(ends.map(({ rid }) => rid)).toEqual([id, partly]);
  expect(ends[0]?.body).toMatch(
    /failed\npg_dump ended with 1\.\n\n.* info {2}dumping\n.* error pg_dump ended with 1\./,
  );
  expect(ends[1]?.body).toContain('s3: failed, It is refused.');
});

test('what else runs says nothing, nor does a backup that is made before its database is replaced', async () => {
  begun({ kind: 'verify' });
  const id = begun({ detail: { safety: true } });
  host.journal.finish(id, 'succeeded', { safety: true });
  await host.heartbeats.settled();
  expect(heard).toEqual([]);
});

test('one whose agent was killed is told by whoever clears behind it', async () => {
  const id = begun();
  await host.heartbeats.settled();
  agent.sql(
    'UPDATE runs SET owner = ?',
    JSON.stringify({ pid: 2 ** 22 + 1, startTicks: 1, bootId: 'of another boot' }),
  );
  await clearDatabase(host, database());
  await host.heartbeats.settled();
  expect(heard.at(-1)).toMatchObject({ path: `POST ${at}/fail`, rid: id });
  expect(heard.at(-1)?.body).toMatch(/process ended before/);
});

test('how it ended is said again where nobody took it; what never arrives is a warning, once, without the secret', async () => {
  const id = begun();
  answers = [200, 500, 429];
  host.journal.finish(id, 'succeeded', { copies: [stored] });
  await host.heartbeats.settled();
  expect(heard.map(({ path }) => path)).toEqual([`POST ${at}/start`, `POST ${at}`, `POST ${at}`, `POST ${at}`]);
  expect(warned).toEqual([]);

  writeFileSync(join(agent.directory, 'ping.url'), 'http://192.0.2.1/a-secret');
  const unheard = begun();
  host.journal.finish(unheard, 'succeeded', { copies: [stored] });
  await host.heartbeats.settled();
  expect(warned).toEqual([expect.stringMatching(/heartbeat of app did not arrive: .*use https/)]);
  expect(warned.join()).not.toContain('a-secret');
});
