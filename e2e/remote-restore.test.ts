import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createSampleDatabase, fingerprint, startPostgres, startS3, waitFor } from '@strideiq/testkit';
import type { PostgresCluster, S3Server } from '@strideiq/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentHost, type RunningAgent } from './agent-host.ts';
import { ControlPlaneServer, type Run } from './control-plane-server.ts';
import { databasesOf } from './raw-state.ts';

/**
 * Restores that are asked for from afar: two hosts in two environments, one control plane, and whoever has a key.
 * Production backs up into a directory and a bucket; staging has a server of its own and no way into that bucket.
 */

let production: PostgresCluster;
let staging: PostgresCluster;
let s3: S3Server;
let server: ControlPlaneServer;
let productionHost: AgentHost;
let stagingHost: AgentHost;
const daemons: RunningAgent[] = [];
let ids: { production: Ids; staging: Ids };

interface Ids {
  agentId: string;
  databaseId: string;
}

beforeAll(async () => {
  [production, staging, s3] = await Promise.all([startPostgres(), startPostgres(), startS3()]);
  await Promise.all([
    createSampleDatabase(production, 'running_app', { scaleMb: 3 }),
    createSampleDatabase(staging, 'running_app', { scaleMb: 1 }),
    s3.createBucket('strideiq'),
  ]);
  server = new ControlPlaneServer();
  await server.start();
  productionHost = new AgentHost({
    cluster: production,
    database: 'running_app',
    environment: 'production',
    controlPlane: server.url,
    s3: { server: s3, endpoint: s3.endpoint, bucket: 'strideiq' },
  });
  stagingHost = new AgentHost({
    cluster: staging,
    database: 'running_app',
    environment: 'staging',
    controlPlane: server.url,
    trustBackups: true,
    allow: ['restoreFresh', 'cancel'],
  });
  for (const host of [productionHost, stagingHost]) daemons.push(await server.enrol(host));
  ids = { production: await server.connected(productionHost), staging: await server.connected(stagingHost) };
}, 240_000);

afterAll(async () => {
  for (const { process, result } of daemons) {
    process.kill('SIGTERM');
    await result;
  }
  await server?.remove();
  productionHost?.remove();
  stagingHost?.remove();
  await Promise.all([production?.stop(), staging?.stop(), s3?.stop()]);
});

/** Curl and nothing else. @returns status and body */
async function curl(...args: string[]): Promise<{ status: number; body: Record<string, unknown> }> {
  const output = await new Promise<string>((resolve, reject) => {
    execFile('curl', ['--silent', '--show-error', '--write-out', '\n%{http_code}', ...args], (error, stdout) => {
      if (error) reject(error);
      else resolve(stdout);
    });
  });
  const end = output.lastIndexOf('\n');
  return {
    status: Number(output.slice(end + 1)),
    body: JSON.parse(output.slice(0, end)) as Record<string, unknown>,
  };
}

async function keyFor(role: string, environments: string[]): Promise<string> {
  const { status, body } = await server.request('POST', '/keys', {
    body: { name: `${role} of ${environments.join()}`, role, environments },
  });
  expect(status).toBe(201);
  return body['key'] as string;
}

async function backup(): Promise<Run> {
  const run = await server.ended(await server.ask('/backups', { databaseId: ids.production.databaseId }));
  expect(run).toMatchObject({ state: 'succeeded' });
  return run;
}

test('a backup and a restore by curl with a key: the same request twice is one run and one database', async () => {
  const bearer = ['--header', `Authorization: Bearer ${await keyFor('operator', ['production'])}`];
  const json = ['--header', 'Content-Type: application/json'];
  const asked = await curl(
    ...bearer,
    ...json,
    '--data',
    JSON.stringify({ databaseId: ids.production.databaseId }),
    `${server.url}/api/v1/backups`,
  );
  expect(asked).toMatchObject({ status: 202, body: { runId: expect.any(String) as string } });
  await server.ended(asked.body['runId'] as string);

  const request = JSON.stringify({
    databaseId: ids.production.databaseId,
    latest: true,
    target: { agentId: ids.production.agentId, mode: 'fresh', database: 'restored_by_curl' },
  });
  const restore = [...bearer, ...json, '--header', 'Idempotency-Key: one-restore', '--data', request];
  const both = await Promise.all([
    curl(...restore, `${server.url}/api/v1/restores`),
    curl(...restore, `${server.url}/api/v1/restores`),
  ]);
  const again = await curl(...restore, `${server.url}/api/v1/restores`);
  expect(new Set([...both, again].map(({ status }) => status))).toEqual(new Set([202]));
  expect(new Set([...both, again].map(({ body }) => body['runId'])).size).toBe(1);

  const run = await waitFor('the restore to end', async () => {
    const seen = await curl(...bearer, `${server.url}/api/v1/runs/${again.body['runId'] as string}`);
    return ['succeeded', 'failed'].includes(seen.body['state'] as string) ? seen.body : undefined;
  });
  expect(run).toMatchObject({ kind: 'restore', state: 'succeeded', progress: 1 });
  expect(await fingerprint(production, 'restored_by_curl')).toEqual(await fingerprint(production, 'running_app'));
  expect((await databasesOf(production)).filter((name) => name.includes('restore'))).toEqual(['restored_by_curl']);
  const restores = await server.get<{ items: Run[] }>(`/runs?databaseId=${ids.production.databaseId}&kind=restore`);
  expect(restores.items).toHaveLength(1);
});

test('the same key for something else is refused', async () => {
  const ask = async (database: string) =>
    server.request('POST', '/restores', {
      body: {
        databaseId: ids.production.databaseId,
        latest: true,
        target: { agentId: ids.production.agentId, mode: 'fresh', database },
      },
      idempotencyKey: 'used-twice',
    });
  await server.ended((await ask('first_of_two')).body['runId'] as string);
  expect(await ask('second_of_two')).toMatchObject({
    status: 422,
    contentType: expect.stringContaining('application/problem+json') as string,
    body: { code: 'IdempotencyKeyReused' },
  });
});

describe('who may not is refused, and that stands in the audit', () => {
  const body = () => ({
    databaseId: ids.production.databaseId,
    latest: true,
    target: { agentId: ids.production.agentId, mode: 'fresh', database: 'never_made' },
  });

  test.each([
    ['a viewer', 'viewer', ['production'], 'RoleTooLow'],
    ['an operator of another environment', 'operator', ['staging'], 'EnvironmentNotAllowed'],
  ] as const)('%s', async (_, role, environments, code) => {
    const key = await keyFor(role, [...environments]);
    expect(await server.request('POST', '/restores', { body: body(), key })).toMatchObject({
      status: 403,
      body: { code, status: 403 },
    });
    const { keyId } = await server.get<{ keyId: string }>('/system/whoami', key);
    const { items } = await server.get<{ items: Record<string, unknown>[] }>('/audit?limit=50');
    expect(items).toContainEqual(expect.objectContaining({ actor: keyId, action: 'access.refused' }));
    expect(await databasesOf(production)).not.toContain('never_made');
  });

  test('nor does another environment’s key see anything', async () => {
    const key = await keyFor('viewer', ['staging']);
    const seen = await server.get<{ items: { environment: string }[] }>('/databases', key);
    expect(seen.items.map(({ environment }) => environment)).toEqual(['staging']);
    for (const path of [`/databases/${ids.production.databaseId}`, `/agents/${ids.production.agentId}`]) {
      expect((await server.request('GET', path, { key })).status).toBe(403);
    }
  });
});

test('production into staging, which has no way into the bucket, by URLs that end', async () => {
  const { backupId } = await backup();
  const request = {
    backupId,
    target: { agentId: ids.staging.agentId, mode: 'fresh', database: 'from_production' },
  };
  const half = await keyFor('operator', ['staging']);
  expect((await server.request('POST', '/restores', { body: request, key: half })).status).toBe(403);
  const roles = (await productionHost.run('show', 'latest')).stdout;
  expect(roles).toContain('running_app');
  await makeRoles();
  const key = await keyFor('operator', ['production', 'staging']);
  const run = await server.ended(await server.ask('/restores', request, { key }));
  expect(run).toMatchObject({ state: 'succeeded' });
  expect(await fingerprint(staging, 'from_production')).toEqual(await fingerprint(production, 'running_app'));
  const { items } = await server.get<{ items: Record<string, unknown>[] }>('/audit?limit=50');
  expect(items.map(({ action }) => action)).toEqual(expect.arrayContaining(['restore.request']));
  // What anyone may read with who has it is written down nowhere.
  for (const table of ['commands', 'runs', 'run_log', 'audit', 'reports']) {
    expect(JSON.stringify(server.rows(`SELECT * FROM ${table}`))).not.toMatch(/X-Amz-Signature|X-Amz-Credential/);
  }
  expect(server.said).not.toMatch(/X-Amz-Signature|X-Amz-Credential/);
});

/** The policies of the sample name roles, which a restore wants to find on the server. */
async function makeRoles(): Promise<void> {
  const rows = await production.query<{ rolname: string }>(
    'postgres',
    "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND NOT rolsuper",
  );
  for (const { rolname } of rows) {
    await staging.psql('postgres', {
      sql: `CREATE ROLE "${rolname.replaceAll('"', '""')}"`,
      args: ['-v', 'ON_ERROR_STOP=0'],
    });
  }
}

test('a copy that only a directory of another host holds cannot be reached, and it is said which', async () => {
  const only = await server.ended(
    await server.ask('/backups', {
      databaseId: ids.production.databaseId,
      storeIds: server
        .rows<{ id: string }>(
          "SELECT id FROM stores WHERE type = 'directory' AND database_id = ?",
          ids.production.databaseId,
        )
        .map(({ id }) => id),
    }),
  );
  expect(only).toMatchObject({ state: 'succeeded' });
  const { status, body } = await server.request('POST', '/restores', {
    body: {
      backupId: only['backupId'],
      target: { agentId: ids.staging.agentId, mode: 'fresh', database: 'out_of_reach' },
    },
  });
  expect({ status, code: body['code'] }).toEqual({ status: 409, code: 'CopyUnreachable' });
  expect(body['detail']).toContain(productionHost.backupDirectory);
});

test.each([
  ['a backup on a host that allows none', () => ['/backups', { databaseId: ids.staging.databaseId }], 'agent.yaml'],
  [
    'a restore in place, which no host allows by itself',
    () => {
      const target = { agentId: ids.production.agentId, mode: 'inPlace', database: 'running_app' };
      return ['/restores', { databaseId: ids.production.databaseId, latest: true, target, confirm: 'running_app' }];
    },
    'restoreInPlace',
  ],
] as const)('%s is refused before anything is made', async (_, request, why) => {
  const before = server.rows('SELECT id FROM runs').length;
  const [path, body] = request();
  expect(await server.request('POST', path as string, { body })).toMatchObject({
    status: 409,
    body: { code: 'ActionNotAllowed', detail: expect.stringContaining(why) as string },
  });
  expect(server.rows('SELECT id FROM runs')).toHaveLength(before);
});

test('a run is followed as it happens, and can be cancelled, which leaves nothing', async () => {
  await production.query(
    'running_app',
    'CREATE TABLE slow AS SELECT g, repeat(md5(g::text), 40) AS t FROM generate_series(1, 60000) g',
  );
  await backup();
  const target = { agentId: ids.production.agentId, mode: 'fresh', database: 'cancelled' };
  const runId = await server.ask('/restores', { databaseId: ids.production.databaseId, latest: true, target });
  const events = await fetch(`${server.url}/api/v1/runs/${runId}/events`, {
    headers: { authorization: `Bearer ${server.adminKey}` },
  });
  expect(events.headers.get('content-type')).toContain('text/event-stream');
  let cancel: ReturnType<typeof server.request> | undefined;
  let said = '';
  for await (const piece of events.body ?? []) {
    said += Buffer.from(piece as Uint8Array).toString();
    if (said.includes('"running"')) cancel ??= server.request('POST', `/runs/${runId}/cancel`, { body: {} });
  }
  expect(await cancel).toMatchObject({ status: 202 });
  expect(said).toContain('"state":"cancelled"');
  expect(await server.ended(runId)).toMatchObject({ state: 'cancelled' });
  expect((await databasesOf(production)).filter((name) => /cancelled|^strideiq_/.test(name))).toEqual([]);
  await production.query('running_app', 'DROP TABLE slow');
});

test('verify by the API tells each copy, and finds a flipped bit', async () => {
  const { backupId } = await backup();
  const verified = await server.ended(await server.ask(`/backups/${String(backupId)}/verify`, {}));
  expect(verified).toMatchObject({ kind: 'verify', state: 'succeeded' });
  const seen = await server.get<{ copies: { state: string }[] }>(`/backups/${String(backupId)}`);
  expect(seen.copies.map(({ state }) => state)).toEqual(['verified', 'verified']);

  const { objectName } = await server.get<{ objectName: string }>(`/backups/${String(backupId)}`);
  const bytes = readFileSync(productionHost.path(objectName));
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(productionHost.path(objectName), bytes);
  await server.ended(await server.ask(`/backups/${String(backupId)}/verify`, {}));
  const after = await server.get<{ copies: { store: string; state: string }[] }>(`/backups/${String(backupId)}`);
  expect(after.copies).toMatchObject([
    { store: 'local', state: 'corrupt' },
    { store: 's3', state: 'verified' },
  ]);
});

test('an audit that says who asked for what, in a chain that holds', async () => {
  const { items } = await server.get<{ items: { action: string; actor: string }[] }>('/audit?limit=200');
  expect(items.map(({ action }) => action)).toEqual(
    expect.arrayContaining(['restore.request', 'backup.request', 'key.create']),
  );
  expect(await server.get('/audit/verify')).toMatchObject({ whole: true });
});
