import { newId } from '@strideiq/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import type { TestHost, TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';

let server: TestControlPlane;
let host: TestHost;
let link: TestLink;
const made = { runId: newId(Date.now()), backupId: newId(Date.now()) };

beforeAll(async () => {
  server = await startControlPlane();
  host = server.host('production', 'db1');
  link = await host.connect();
  const backup = madeBackup(host, { backupId: made.backupId });
  await link.send(
    host.report('run', runBody(host, made.runId, 'running')),
    host.report('log', {
      runId: made.runId,
      lines: ['one', 'two', 'three'].map((line) => ({ at: '2026-11-24T08:00:00.000Z', level: 'info', text: line })),
    }),
    host.report('run', runBody(host, made.runId, 'succeeded', { backup, finishedAt: '2026-11-24T08:00:10.000Z' })),
  );
});
afterAll(async () => {
  await link.close();
  await server.stop();
});

describe('what is asked is answered', () => {
  test('a backup with its copies', async () => {
    const { status, body } = await server.rest('GET', `/backups/${made.backupId}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id: made.backupId,
      environment: 'production',
      database: 'running_app',
      databaseId: host.databaseId(),
      agentId: host.agentId,
      runId: made.runId,
      state: 'succeeded',
      snapshotAt: '2026-11-24T07:59:01.000Z',
      copies: [{ storeId: host.storeId(), store: 'local', storeType: 'directory', state: 'stored', error: null }],
    });
    expect((await server.rest('GET', `/backups?databaseId=${host.databaseId()}&state=succeeded`)).body).toMatchObject({
      items: [{ id: made.backupId }],
      nextCursor: null,
    });
    expect((await server.rest('GET', '/backups?state=failed')).body).toEqual({ items: [], nextCursor: null });
  });

  test('an agent, while it is connected and after', async () => {
    const visitor = server.host('production', 'db2', 'shop');
    const visit = await visitor.connect({ sentAt: new Date(server.clock.now + 90_000).toISOString() });
    await visit.api.heartbeat.mutate({
      sentAt: new Date(server.clock.now + 90_000).toISOString(),
      databases: [{ databaseId: visitor.databaseId(), reachable: true, serverVersion: '17.2', sizeBytes: 4096 }],
      stores: [{ storeId: visitor.storeId(), freeBytes: 1000 }],
    });
    const path = `/agents/${visitor.agentId}`;
    expect((await server.rest('GET', path)).body).toMatchObject({
      id: visitor.agentId,
      hostname: 'db2',
      connected: true,
      revoked: false,
      clockOffsetMs: 90_000,
      databases: [{ name: 'shop', allow: expect.arrayContaining(['restoreFresh']) as string[] }],
      stores: [{ location: '/backups/shop', freeBytes: 1000 }],
    });
    expect((await server.rest('GET', `/databases/${visitor.databaseId()}`)).body).toMatchObject({
      name: 'shop',
      agentConnected: true,
      reachable: true,
      serverVersion: '17.2',
      sizeBytes: 4096,
      policy: { schedule: [{ cron: '0 3 * * *' }] },
      stores: [{ freeBytes: 1000 }],
      lastBackup: null,
    });
    expect((await server.rest('POST', `${path}/revoke`)).body).toMatchObject({ revoked: true });
    await visit.closed;
    expect((await server.rest('GET', path)).body).toMatchObject({
      connected: false,
      revoked: true,
      clockOffsetMs: null,
    });
    const { body } = await server.rest('GET', '/environments');
    expect(body).toMatchObject({ items: [{ name: 'production', agents: 1, agentsConnected: 1, databases: 2 }] });
  });

  test('a run, and its log page by page, to the end and no further', async () => {
    const run = await server.rest('GET', `/runs/${made.runId}`);
    expect(run.body).toMatchObject({ state: 'succeeded', progress: 1, backupId: made.backupId, requestedBy: null });
    const first = await server.rest('GET', `/runs/${made.runId}/log?limit=2`);
    expect(first.body['items']).toMatchObject([{ text: 'one' }, { text: 'two' }]);
    const second = await server.rest(
      'GET',
      `/runs/${made.runId}/log?limit=2&cursor=${String(first.body['nextCursor'])}`,
    );
    expect(second.body).toMatchObject({ items: [{ text: 'three', level: 'info' }], nextCursor: null });
    for (const cursor of ['x', '-1', '1e3']) {
      expect((await server.rest('GET', `/runs/${made.runId}/log?cursor=${cursor}`)).status).toBe(400);
    }
  });

  test('the log of a run that goes on has a cursor at its end, for what comes', async () => {
    const runId = newId(server.clock.now);
    await link.send(host.report('run', runBody(host, runId, 'running')));
    const { body } = await server.rest('GET', `/runs/${runId}/log`);
    expect(body).toEqual({ items: [], nextCursor: '0' });
    await link.send(
      host.report('log', { runId, lines: [{ at: '2026-11-24T08:00:00.000Z', level: 'warn', text: 'slow' }] }),
    );
    const next = await server.rest('GET', `/runs/${runId}/log?cursor=${String(body['nextCursor'])}`);
    expect(next.body['items']).toMatchObject([{ text: 'slow' }]);
    await link.send(
      host.report('run', runBody(host, runId, 'failed', { error: { code: 'DumpFailed', text: 'It broke.' } })),
    );
    expect((await server.rest('GET', `/runs/${runId}`)).body).toMatchObject({
      state: 'failed',
      error: { code: 'DumpFailed', text: 'It broke.' },
    });
  });

  test('what was reported and rejected is shown, with the reason', async () => {
    await link.send(host.report('run', runBody(host, newId(1), 'running', { databaseId: newId(2) })));
    const { body } = await server.rest('GET', `/reports?agentId=${host.agentId}`);
    expect(body['items']).toMatchObject([
      { agentId: host.agentId, environment: 'production', code: 'NotOwner', kind: 'run' },
    ]);
  });

  test('the system, and whose key it is', async () => {
    const { body } = await server.rest('GET', '/system');
    expect(body).toMatchObject({
      version: '0.1.0',
      environments: 1,
      databases: 2,
      agents: 1,
      agentsConnected: 1,
      backups: 1,
    });
    const viewer = server.keyFor('viewer', ['staging']);
    expect((await server.rest('GET', '/system/whoami', { key: viewer })).body).toMatchObject({
      role: 'viewer',
      environments: ['staging'],
    });
  });
});

describe('work', () => {
  test('is taken on with 202 and the run, and the same Idempotency-Key gives the same run', async () => {
    const body = { databaseId: host.databaseId() };
    const headers = { 'idempotency-key': 'once' };
    const first = await server.rest('POST', '/backups', { body, headers });
    expect(first).toMatchObject({ status: 202, body: { runId: expect.any(String) as string } });
    expect(await server.rest('POST', '/backups', { body, headers })).toMatchObject({ status: 202, body: first.body });
    const { runId } = first.body as { runId: string };
    expect((await server.rest('GET', `/runs/${runId}`)).body).toMatchObject({
      id: runId,
      kind: 'backup',
      requestedBy: { name: 'first admin' },
      progress: 0,
    });
    const other = await server.rest('POST', `/backups/${made.backupId}/verify`, { body: {}, headers });
    expect(other).toMatchObject({ status: 422, body: { code: 'IdempotencyKeyReused' } });
    expect(await server.rest('POST', `/runs/${runId}/cancel`)).toMatchObject({ status: 202, body: { runId } });
    expect((await server.rest('GET', `/runs?state=queued&kind=backup`)).status).toBe(200);
  });

  test.each(['', 'a'.repeat(201), ' blank first', 'tab\there'])(
    'an Idempotency-Key such as %j is refused',
    async (key) => {
      const { status, body } = await server.rest('POST', '/backups', {
        body: { databaseId: host.databaseId() },
        headers: { 'idempotency-key': key },
      });
      expect({ status, code: body['code'] }).toEqual({ status: 400, code: 'InputInvalid' });
    },
  );

  test('a restore names one source, in one way', async () => {
    const target = { agentId: host.agentId, mode: 'fresh', database: 'restored' };
    const databaseId = host.databaseId();
    const { backupId } = made;
    for (const wrong of [
      {},
      { backupId, databaseId, latest: true },
      { databaseId },
      { backupId, latest: true },
      { latest: true },
    ]) {
      expect((await server.rest('POST', '/restores', { body: { ...wrong, target } })).body).toMatchObject({
        status: 400,
        code: 'InputInvalid',
        detail: expect.stringMatching(/either backupId, or databaseId/) as string,
      });
    }
    for (const source of [{ backupId }, { databaseId, latest: true }]) {
      expect(await server.rest('POST', '/restores', { body: { ...source, target } })).toMatchObject({ status: 202 });
    }
  });

  test.each([
    ['tables without any', { mode: 'tables' }, {}, /name `tables` with the mode tables/],
    ['tables of another mode', { mode: 'fresh', tables: ['a.b'] }, {}, /name `tables` with the mode tables/],
    ['a confirmation of nothing', { mode: 'fresh' }, { confirm: 'x' }, /are of the mode inPlace/],
    ['no confirmation', { mode: 'inPlace' }, {}, /Replacing running_app was not confirmed/],
    ['another confirmation', { mode: 'inPlace' }, { confirm: 'x' }, /was confirmed by \\"x\\"/],
    [
      'a server by its side',
      { mode: 'inPlace', viaDatabaseId: newId(1) },
      { confirm: 'x' },
      /leave `viaDatabaseId` out/,
    ],
  ])('a restore with %s is refused', async (_, how, more, why) => {
    const target = { agentId: host.agentId, database: 'running_app', ...how };
    const { status, body } = await server.rest('POST', '/restores', {
      body: { backupId: made.backupId, target, ...more },
    });
    expect({ status, code: body['code'] }).toEqual({ status: 400, code: 'InputInvalid' });
    expect(JSON.stringify(body)).toMatch(why);
  });

  test('a misspelt key of a request is told, never passed over', async () => {
    const { status, body } = await server.rest('POST', '/backups', {
      body: { databaseId: host.databaseId(), storeIDs: [] },
    });
    expect({ status, detail: body['detail'] }).toEqual({
      status: 400,
      detail: expect.stringContaining('storeIDs') as string,
    });
  });
});

describe('keys', () => {
  test('are made, shown once, used, listed and revoked at once', async () => {
    const made = await server.rest('POST', '/keys', {
      body: { name: ' deploy ', role: 'operator', environments: ['production'], expiresAt: '2027-01-01T00:00:00Z' },
    });
    expect(made).toMatchObject({ status: 201, body: { name: 'deploy', expiresAt: '2027-01-01T00:00:00.000Z' } });
    const { key, id } = made.body as { key: string; id: string };
    expect((await server.rest('GET', `/audit?subject=${id}`)).body['items']).toMatchObject([
      { action: 'key.create', detail: { name: 'deploy', expiresAt: '2027-01-01T00:00:00.000Z' } },
    ]);
    expect((await server.rest('GET', '/runs', { key })).status).toBe(200);
    const listed = await server.rest('GET', '/keys');
    expect(listed.text).toContain(id);
    expect(listed.text).not.toContain(key);
    expect((await server.rest('POST', `/keys/${id}/revoke`)).body).toMatchObject({
      revokedAt: expect.any(String) as string,
    });
    expect((await server.rest('GET', '/runs', { key })).status).toBe(401);
  });

  test('make none that may more, or for longer', async () => {
    const ends = server.clock.now + 3_600_000;
    const admin = server.keyFor('admin', ['production'], ends);
    const make = async (more: object) =>
      server.rest('POST', '/keys', {
        key: admin,
        body: {
          name: 'x',
          role: 'admin',
          environments: ['production'],
          expiresAt: new Date(ends).toISOString(),
          ...more,
        },
      });
    expect((await make({})).status).toBe(201);
    expect((await make({ environments: null })).status).toBe(403);
    expect((await make({ environments: ['production', 'staging'] })).status).toBe(403);
    expect((await make({ environments: [] })).status).toBe(400);
    for (const expiresAt of [null, undefined, new Date(ends + 1).toISOString()]) {
      expect((await make({ expiresAt })).body).toMatchObject({
        status: 400,
        detail: expect.stringMatching(/none that lasts longer/) as string,
      });
    }
    expect((await make({ expiresAt: new Date(server.clock.now).toISOString() })).body['detail']).toMatch(/is past/);
    const seen = await server.rest('GET', '/keys?limit=200', { key: admin });
    const items = seen.body['items'] as { environments: string[] | null }[];
    expect(items.length).toBeGreaterThan(0);
    expect(items.every(({ environments }) => environments?.join() === 'production')).toBe(true);
  });

  test('a token for a host is for one environment', async () => {
    const { status, body } = await server.rest('POST', '/enroll-tokens', { body: { environment: 'eu' } });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      token: expect.stringMatching(/^siqe_/) as string,
      environment: 'eu',
      expiresAt: new Date(server.clock.now + 15 * 60_000).toISOString(),
    });
    expect((await server.rest('POST', '/enroll-tokens', { body: { environment: '../eu' } })).status).toBe(400);
  });
});

test('the newest good backup, also from before a moment, and none that was made just before a restore', async () => {
  const visitor = server.host('production', 'db3', 'newest');
  const visit = await visitor.connect();
  const ids: Record<string, string> = {};
  for (const [snapshotAt, safety] of [
    ['2026-11-20T03:00:00.000Z', false],
    ['2026-11-21T03:00:00.000Z', true],
    ['2026-11-22T03:00:00.000Z', false],
    ['2026-11-23T03:00:00.000Z', true],
  ] as const) {
    const runId = newId(Date.now());
    const backup = madeBackup(visitor, { snapshotAt, ...(safety ? { safety } : {}) });
    ids[backup.backupId] = snapshotAt;
    await visit.send(visitor.report('run', runBody(visitor, runId, 'succeeded', { backup })));
  }
  const path = `/databases/${visitor.databaseId()}/newest-backup`;
  const newest = async (query = '') => ids[String((await server.rest('GET', path + query)).body['id'])];
  expect(await newest()).toBe('2026-11-22T03:00:00.000Z');
  expect(await newest('?before=2026-11-22T03:00:00.001Z')).toBe('2026-11-22T03:00:00.000Z');
  expect(await newest('?before=2026-11-22T03:00:00Z')).toBe('2026-11-20T03:00:00.000Z');
  const { status, body } = await server.rest('GET', `${path}?before=2026-11-20T03:00:00Z`);
  expect([status, body['code']]).toEqual([404, 'NotFound']);
  expect((await server.rest('GET', `${path}?before=yesterday`)).status).toBe(400);
  await visit.close();
});
