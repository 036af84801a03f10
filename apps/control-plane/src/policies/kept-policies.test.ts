import { waitFor } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { audit, databases } from '../catalog/schema.ts';
import { startControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import type { TestHost, TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import { newId } from '@strideiq/core';

let server: TestControlPlane;
let host: TestHost;
let link: TestLink;
beforeEach(async () => {
  server = await startControlPlane();
  host = server.host('production', 'db1');
  link = await host.connect();
});
afterEach(async () => {
  await link.close();
  await server.stop();
});

const path = (more = '') => `/databases/${host.databaseId()}/policy${more}`;
const told = () => link.policies.at(-1)?.policies[0];

test('begins as the host’s file says, and is not changed by it afterwards, unless somebody asks for that', async () => {
  expect((await server.rest('GET', path())).body).toMatchObject({
    version: 1,
    changedBy: `agent:${host.agentId}`,
    policy: { schedule: [{ cron: '0 3 * * *' }], timezone: 'UTC', retention: {} },
    runs: null,
  });
  const [database] = host.databases;
  if (database) database.policy = { schedule: ['0 4 * * *'], retention: { local: { count: 1 } } };
  await link.close();
  link = await host.connect();
  expect((await server.rest('GET', path())).body).toMatchObject({ version: 1, policy: { retention: {} } });
  const taken = await server.rest('POST', path('/from-file'), { body: {} });
  expect(taken.body).toMatchObject({ version: 2, policy: { retention: { local: { count: 1 } } } });
});

test('a change is told to the agent at once, stands in the audit, and is known to be gone by once the agent says so', async () => {
  await waitFor('the first', () => told()?.version === 1);
  const policy = { schedule: '0 * * * *', retention: { local: { days: 3 } } };
  const { status, body } = await server.rest('POST', path(), { body: { policy, after: 1 } });
  expect([status, body['version']]).toEqual([200, 2]);
  await waitFor('the second', () => told()?.version === 2);
  expect(told()).toMatchObject({
    databaseId: host.databaseId(),
    policy: { retention: { local: { days: 3 } } },
    pins: [],
  });
  const [entry] = server.catalog.select().from(audit).where(eq(audit.action, 'policy.change')).all();
  expect(entry).toMatchObject({ environment: 'production', subject: host.databaseId(), detail: { version: 2 } });
  const facts = { databaseId: host.databaseId(), reachable: true, policyVersion: 2 };
  await link.api.heartbeat.mutate({ sentAt: new Date(server.now()).toISOString(), databases: [facts], stores: [] });
  expect((await server.rest('GET', path())).body).toMatchObject({ version: 2, runs: 2 });
  const { body: versions } = await server.rest('GET', path('/versions'));
  expect(versions['items']).toMatchObject([{ version: 2 }, { version: 1 }]);
});

test('the same again makes no version; a change of what somebody has changed meanwhile is refused', async () => {
  const policy = { timezone: 'Europe/Berlin' };
  for (const n of [1, 2]) {
    expect((await server.rest('POST', path(), { body: { policy } })).body, `${n}`).toMatchObject({ version: 2 });
  }
  const refused = await server.rest('POST', path(), { body: { policy: {}, after: 1 } });
  expect([refused.status, refused.body['code']]).toEqual([409, 'PolicyChanged']);
});

test.each([
  [{ schedule: '@daily' }, 'five fields'],
  [{ retention: { tape: { days: 3 } } }, 'names the store \\"tape\\", and it has local'],
  [{ schedule: [{ cron: '0 3 * * *', stores: ['tape'] }] }, 'tape'],
  [{ rentention: {} }, 'rentention'],
])('%j is refused, and changes nothing', async (policy, said) => {
  const { status, text } = await server.rest('POST', path(), { body: { policy } });
  expect(status).toBe(400);
  expect(text).toContain(said);
  expect((await server.rest('GET', path())).body).toMatchObject({ version: 1 });
});

test('only an admin of the environment changes it', async () => {
  const keys = [server.keyFor('operator', null), server.keyFor('admin', ['staging'])];
  for (const key of keys) expect((await server.rest('POST', path(), { key, body: { policy: {} } })).status).toBe(403);
  const viewer = server.keyFor('viewer', ['production']);
  expect((await server.rest('GET', path(), { key: viewer })).status).toBe(200);
});

test('a file that cannot be read leaves the database without a policy, and its agent hears why', async () => {
  const other = server.host('production', 'db2', 'other');
  const [database] = other.databases;
  if (database) database.policy = { schedule: '@daily' };
  const otherLink = await other.connect();
  expect(otherLink.welcome?.refusedDatabases).toMatchObject([{ name: 'other', code: 'InputInvalid' }]);
  expect((await server.rest('GET', `/databases/${other.databaseId()}/policy`)).status).toBe(404);
  expect(server.catalog.select().from(databases).where(eq(databases.id, other.databaseId())).all()).toHaveLength(1);
  await otherLink.close();
});

test('pins are told to the agent with their reason and end, and taken off again', async () => {
  const backup = madeBackup(host);
  await link.send(host.report('run', runBody(host, newId(server.now()), 'succeeded', { backup })));
  const pin = `/backups/${backup.backupId}/pin`;
  const until = new Date(server.now() + 86_400_000).toISOString();
  const { status, body } = await server.rest('POST', pin, { body: { reason: 'an audit', until } });
  expect([status, body['pin']]).toEqual([200, expect.objectContaining({ reason: 'an audit', until })]);
  await waitFor('the pin', () => told()?.pins.length === 1);
  expect(told()?.pins).toEqual([{ objectName: backup.objectName, reason: 'an audit', until }]);
  expect((await server.rest('POST', pin, { body: { reason: 'x', until: '2020-01-01T00:00:00Z' } })).status).toBe(400);
  for (const n of [1, 2]) expect((await server.rest('DELETE', pin)).body['pin'], `${n}`).toBeNull();
  await waitFor('that it is off', () => told()?.pins.length === 0);
  const actions = server.catalog
    .select()
    .from(audit)
    .all()
    .map(({ action }) => action);
  expect(actions.filter((action) => action.startsWith('backup.'))).toEqual(['backup.pin', 'backup.unpin']);
});
