import { initTRPC } from '@trpc/server';
import { newId, uploadKey } from '@strideiq/core';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alerts, roles } from '../catalog/schema.ts';
import { restProcedures } from '../http/rest-procedures.ts';
import { callProcedure } from '../http/rest.ts';
import { startControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import type { TestHost, TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import type { ApiContext } from './context.ts';
import { unguarded, type ApiMeta } from './guarded.ts';
import { apiRouter } from './router.ts';

const procedures = apiRouter._def.procedures as unknown as Record<string, { _def: { meta: ApiMeta; type: string } }>;
const names = Object.keys(procedures);

describe('no procedure without role and scope', () => {
  test('the whole router', () => {
    expect(names.length).toBeGreaterThan(20);
    expect(unguarded(apiRouter)).toEqual([]);
    for (const name of names) expect(roles).toContain(procedures[name]?._def.meta.guard.role);
  });

  test('one that was made another way is found, also with a guard that it only claims', () => {
    const t = initTRPC.context<ApiContext>().meta<ApiMeta>().create();
    const sneaky = t.router({
      open: t.procedure.query(() => 'everything'),
      nested: t.router({ claims: t.procedure.meta({ guard: { role: 'admin', scope: 'system' } }).query(() => 1) }),
      system: apiRouter.system,
    });
    expect(unguarded(sneaky)).toEqual(['open', 'nested.claims']);
  });

  test('nothing but the guard makes a builder', () => {
    const makers = readdirSync(join(import.meta.dirname, '..'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
      .filter((file) => readFileSync(join(import.meta.dirname, '..', file), 'utf8').includes('initTRPC'));
    expect(makers).toEqual(['api/guarded.ts']);
  });
});

describe('every procedure refuses whoever may not', () => {
  let server: TestControlPlane;
  let host: TestHost;
  let link: TestLink;
  let inputs: Record<string, object>;
  const runId = newId(Date.now());

  beforeAll(async () => {
    server = await startControlPlane();
    host = server.host('production', 'db1');
    // So that the key of another environment has one.
    server.enrolment.createToken({ environment: 'staging', by: 'local' });
    link = await host.connect();
    const backup = madeBackup(host);
    const { key } = server.keys.create(
      { name: 'to revoke', role: 'viewer', environments: ['production'], expiresAt: null },
      'local',
    );
    await link.send(host.report('run', runBody(host, runId, 'succeeded', { backup })));
    const { agentId } = host;
    const databaseId = host.databaseId();
    const { backupId } = backup;
    const keyId = server.keys.authenticate(`Bearer ${key}`).keyId;
    const environment = 'production';
    const alertId = newId(Date.now());
    const about = { rule: 'noBackup', subject: `database:${databaseId}`, name: 'app', environment } as const;
    const alert = { state: 'open', severity: 'critical', text: 'none', openedAt: 1, told: 1 } as const;
    server.catalog
      .insert(alerts)
      .values({ id: alertId, ...about, ...alert })
      .run();
    inputs = {
      'environments.list': {},
      'agents.list': { environment },
      'agents.get': { agentId },
      'agents.revoke': { agentId },
      'databases.list': { environment },
      'databases.get': { databaseId },
      'databases.move': { databaseId, agentId },
      'policies.get': { databaseId },
      'policies.versions': { databaseId },
      'policies.set': { databaseId, policy: { timezone: 'Europe/Berlin' } },
      'policies.takeFile': { databaseId },
      'retention.preview': { databaseId },
      'retention.carryOut': { databaseId, backupIds: [backupId] },
      'objectives.report': { databaseId },
      'alerts.list': { environment },
      'alerts.acknowledge': { alertId },
      'alerts.silence': { alertId, until: '2030-01-01T00:00:00Z' },
      'alerts.unsilence': { alertId },
      'channels.overview': {},
      'channels.deliveries': { name: 'mail' },
      'channels.test': { name: 'mail' },
      'drift.show': { databaseId },
      'drift.look': { databaseId },
      'backups.pin': { backupId, reason: 'an audit' },
      'backups.unpin': { backupId },
      'backups.list': { environment },
      'backups.get': { backupId },
      'backups.newest': { databaseId },
      'backups.create': { databaseId },
      'backups.verify': { backupId },
      'restores.create': { backupId, target: { agentId, mode: 'fresh', database: 'restored' } },
      'drills.create': { databaseId },
      'uploads.create': { databaseId, sizeBytes: 42 },
      'uploads.restore': { databaseId, storeId: host.storeId(), key: uploadKey(newId(1)), database: 'restored' },
      'runs.list': { environment },
      'runs.get': { runId },
      'runs.log': { runId },
      'runs.cancel': { runId },
      'runs.follow': { runId },
      'keys.list': {},
      'keys.create': { name: 'more', role: 'viewer', environments: [environment] },
      'keys.revoke': { keyId },
      'audit.list': { environment },
      'audit.verify': {},
      'enrolTokens.create': { environment },
      'reports.list': { environment },
      'system.info': {},
      'system.whoami': {},
    };
  });
  afterAll(async () => {
    await link.close();
    await server.stop();
  });

  function contextFor(key: string | undefined): ApiContext {
    const ask = () => server.keys.authenticate(key === undefined ? undefined : `Bearer ${key}`);
    return { parts: server.parts, asking: ask(), askAgain: ask, address: '192.0.2.1' };
  }

  /** The code by which a call is refused; undefined where it is not. */
  async function refusalOf(name: string, key: string | undefined): Promise<string | undefined> {
    try {
      await callProcedure(name, inputs[name], contextFor(key));
      return undefined;
    } catch (error) {
      return ((error as Error).cause as { code?: string } | undefined)?.code ?? String(error);
    }
  }

  async function restRefusalOf(name: string, key: string | undefined): Promise<unknown> {
    const found = restProcedures().find((each) => each.name === name);
    if (found === undefined) return undefined;
    const { method, path } = found.rest;
    const input = { ...inputs[name] } as Record<string, string>;
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      const value = input[name] ?? '';
      delete input[name];
      return value;
    });
    const query = method === 'GET' ? `?${new URLSearchParams(input).toString()}` : '';
    const { status, body, headers } = await server.rest(method, filled + query, {
      key: key ?? null,
      ...(method === 'GET' ? {} : { body: input }),
    });
    if (status < 400) return undefined;
    const isProblem = headers['content-type']?.toString().includes('application/problem+json') ?? false;
    return isProblem && body['status'] === status ? body['code'] : { status, body };
  }

  /** By which code each door refuses a call. */
  async function refusals(name: string, key: string | undefined): Promise<Record<string, unknown>> {
    const trpc = await refusalOf(name, key);
    return procedures[name]?._def.meta.rest === undefined ? { trpc } : { trpc, rest: await restRefusalOf(name, key) };
  }

  const both = (name: string, code: string) =>
    procedures[name]?._def.meta.rest === undefined ? { trpc: code } : { trpc: code, rest: code };

  test('the table knows every procedure', () => {
    expect(Object.keys(inputs).sort()).toEqual([...names].sort());
  });

  test.each(names)('%s: no key, none of ours, expired, revoked', async (name) => {
    const expired = server.keyFor('admin', null, server.clock.now);
    const revoked = server.keyFor('admin', null);
    server.keys.revoke(server.keys.authenticate(`Bearer ${revoked}`).keyId ?? '', 'local');
    expect(await refusals(name, undefined)).toEqual(both(name, 'KeyMissing'));
    expect(await refusals(name, `siq_${'A'.repeat(43)}`)).toEqual(both(name, 'KeyInvalid'));
    expect(await refusals(name, expired)).toEqual(both(name, 'KeyInvalid'));
    expect(await refusals(name, revoked)).toEqual(both(name, 'KeyInvalid'));
  });

  test.each(names.filter((name) => procedures[name]?._def.meta.guard.role !== 'viewer'))(
    '%s: a role that is too low',
    async (name) => {
      const needed = procedures[name]?._def.meta.guard.role ?? 'admin';
      for (const role of roles.slice(0, roles.indexOf(needed))) {
        expect(await refusals(name, server.keyFor(role, null))).toEqual(both(name, 'RoleTooLow'));
      }
    },
  );

  const ofAll = new Set(['environments.list', 'keys.list', 'system.whoami']);
  test.each(names.filter((name) => !ofAll.has(name)))('%s: a key of another environment', async (name) => {
    const before = server.catalog.$client.prepare('SELECT count(*) FROM runs').pluck().get();
    expect(await refusals(name, server.keyFor('admin', ['staging']))).toEqual(both(name, 'EnvironmentNotAllowed'));
    expect(server.catalog.$client.prepare('SELECT count(*) FROM runs').pluck().get()).toBe(before);
  });

  test.each(names.filter((name) => name.endsWith('.list')))(
    '%s: shows nothing of another environment',
    async (name) => {
      const seen = await callProcedure(name, {}, contextFor(server.keyFor('admin', ['staging'])));
      expect(JSON.stringify(seen)).not.toMatch(new RegExp(`production|${host.agentId}|${host.databaseId()}`));
    },
  );

  test('a key for two environments does not reach a key, or a restore, for a third', async () => {
    const key = server.keyFor('admin', ['production', 'staging']);
    const make = async (environments: string[] | null) =>
      callProcedure('keys.create', { name: 'more', role: 'viewer', environments }, contextFor(key));
    await expect(make(['staging', 'eu'])).rejects.toThrow(/about eu/);
    await expect(make(null)).rejects.toThrow(/needs one for all/);
    await expect(make(['staging', 'production'])).resolves.toMatchObject({ key: expect.any(String) as string });
    const other = server.host('eu', 'db9');
    const request = { backupId: (inputs['backups.get'] as { backupId: string }).backupId };
    const target = { agentId: other.agentId, mode: 'fresh', database: 'x' };
    await expect(callProcedure('restores.create', { ...request, target }, contextFor(key))).rejects.toThrow(/about eu/);
  });

  test('who tries to read one environment into another is told of in the audit of each that the key is not for', async () => {
    const host = server.host('eu', 'db8');
    const told = async (environments: string[], target: { agentId: string }) => {
      const key = server.keyFor('operator', environments);
      const { backupId } = inputs['backups.get'] as { backupId: string };
      const asked = { backupId, target: { agentId: target.agentId, mode: 'fresh', database: 'x' } };
      await expect(callProcedure('restores.create', asked, contextFor(key))).rejects.toThrow(/is for/);
      const { keyId } = server.keys.authenticate(`Bearer ${key}`);
      return server.catalog.$client
        .prepare("SELECT environment FROM audit WHERE actor = ? AND action = 'access.refused' ORDER BY seq")
        .pluck()
        .all(keyId);
    };
    const { agentId } = inputs['agents.get'] as { agentId: string };
    expect(await told(['staging'], { agentId })).toEqual(['production']);
    expect(await told(['eu'], host)).toEqual(['production']);
    expect(await told(['staging'], host)).toEqual(['production', 'eu']);
  });

  test('what is not there is not found, also for who reaches everything', async () => {
    const nothing = newId(Date.now());
    for (const [name, input] of Object.entries(inputs)) {
      if (procedures[name]?._def.meta.guard.scope !== 'resource' || name.endsWith('.create')) continue;
      const missing = Object.fromEntries(
        Object.entries(input).map(([key, value]) => [
          key,
          typeof value === 'string' && key !== 'until' ? nothing : value,
        ]),
      );
      await expect(callProcedure(name, missing, contextFor(server.adminKey))).rejects.toThrow(/There is no/);
    }
  });

  test('refusals are in the audit, one for each caller, procedure and minute', async () => {
    const key = server.keyFor('viewer', ['production']);
    const { keyId } = server.keys.authenticate(`Bearer ${key}`);
    const told = () =>
      server.catalog.$client
        .prepare("SELECT subject, detail FROM audit WHERE actor = ? AND action = 'access.refused' ORDER BY seq")
        .all(keyId) as { subject: string; detail: string }[];
    for (let n = 0; n < 3; n++) await refusalOf('backups.create', key);
    await refusalOf('keys.list', key);
    expect(told().map(({ subject }) => subject)).toEqual(['backups.create', 'keys.list']);
    expect(JSON.parse(told()[0]?.detail ?? '')).toEqual({ code: 'RoleTooLow', address: '192.0.2.1' });
    server.clock.now += 60_000;
    await refusalOf('backups.create', key);
    expect(told()).toHaveLength(3);
  });
});
