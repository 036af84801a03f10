import { databaseIdOf, newId } from '@strideiq/core';
import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { agents, databases, journals, stores } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { bucketStore, TestHost } from '../testing/host.ts';
import { rowsOf } from '../testing/tables.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(async () => await gateway.stop());

const databaseRow = (id: string) => gateway.catalog.select().from(databases).where(eq(databases.id, id)).get();
const storeRow = (id: string) => gateway.catalog.select().from(stores).where(eq(stores.id, id)).get();

describe('what a host declares', () => {
  test('is written down under ids that follow from its environment, whatever it says', async () => {
    const host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
    host.databases[0]?.stores.push(bucketStore('app/'));
    await host.open().hello({ hostname: 'db1.internal', agentVersion: '0.2.0', commandKinds: ['backup', 'new'] });
    const id = databaseIdOf('production', 'app');
    expect(databaseRow(id)).toMatchObject({
      environment: 'production',
      name: 'app',
      agentId: host.agentId,
      allow: host.databases[0]?.allow,
      policy: { schedule: '0 3 * * *' },
      declared: true,
    });
    expect(storeRow(host.storeId())).toMatchObject({ databaseId: id, type: 'directory', location: '/backups/app' });
    expect(storeRow(host.storeId(1))).toMatchObject({
      databaseId: id,
      type: 's3',
      s3: { bucket: 'backups', prefix: 'app/', endpoint: 'https://s3.example.com' },
    });
    expect(gateway.catalog.select().from(agents).get()).toMatchObject({
      hostname: 'db1.internal',
      version: '0.2.0',
      commandKinds: ['backup', 'new'],
      reachableStoreIds: [host.storeId(), host.storeId(1)],
    });
  });

  test('and declares no more is kept, and marked so, until it is named again', async () => {
    const host = new TestHost(gateway, 'production', 'db1').looksAfter('app').looksAfter('other').enrol();
    await host.open().hello();
    const [app, other] = host.databases;
    if (!app || !other) throw new Error('none');
    host.databases = [{ ...app, stores: [bucketStore('app/')] }];
    await host.open().hello();
    expect(databaseRow(host.databaseId('app'))).toMatchObject({ declared: true });
    expect(databaseRow(host.databaseId('other'))).toMatchObject({ declared: false });
    expect(storeRow(app.stores[0]?.storeId ?? '')).toMatchObject({ declared: false });
    expect(storeRow(host.storeId())).toMatchObject({ declared: true });
    host.databases = [app, { ...other, allow: ['backup'] }];
    await host.open().hello();
    expect(databaseRow(host.databaseId('other'))).toMatchObject({ declared: true, allow: ['backup'] });
    expect(storeRow(app.stores[0]?.storeId ?? '')).toMatchObject({ declared: true });
  });

  test('may grow on the connection that it is declared on', async () => {
    const host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
    const link = await host.connect();
    host.looksAfter('late');
    expect(await link.hello()).toMatchObject({ refusedDatabases: [] });
    expect(databaseRow(host.databaseId('app'))).toMatchObject({ declared: true });
    expect(databaseRow(host.databaseId('late'))).toMatchObject({ declared: true });
    expect(link.isClosed).toBe(false);
  });

  test('and another host declared before stays that one’s; the rest is taken', async () => {
    const first = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
    await first.open().hello();
    const before = rowsOf(gateway.catalog);
    const second = new TestHost(gateway, 'production', 'db2').looksAfter('app').looksAfter('own').enrol();
    const { refusedDatabases } = await second.open().hello();
    expect(refusedDatabases).toEqual([
      {
        name: 'app',
        code: 'DatabaseOwnedElsewhere',
        text: expect.stringContaining(`The database app belongs to the agent ${first.agentId}: take it out`),
      },
    ]);
    expect(databaseRow(second.databaseId('own'))).toMatchObject({ agentId: second.agentId });
    const after = rowsOf(gateway.catalog);
    expect(after['databases']).toEqual(expect.arrayContaining(before['databases'] ?? []));
    expect(storeRow(second.storeId())).toBeUndefined();
  });

  test('the same name in another environment is another database', async () => {
    const hosts = ['production', 'staging'].map((name) => new TestHost(gateway, name, 'db1').looksAfter('app').enrol());
    const answers = [];
    for (const host of hosts) answers.push(await host.open().hello());
    // One host's disk is one place, whichever of its environments looks at it.
    expect(answers.map(({ refusedDatabases }) => refusedDatabases.map(({ code }) => code))).toEqual([
      [],
      ['StoreOwnedElsewhere'],
    ]);
    expect(gateway.catalog.select().from(databases).all()).toHaveLength(2);
  });

  test('a store belongs to the database that had it first', async () => {
    const shared = bucketStore('shared/');
    const first = new TestHost(gateway, 'production', 'db1').looksAfter('app', { stores: [shared] }).enrol();
    await first.open().hello();
    const row = storeRow(shared.storeId);
    const second = new TestHost(gateway, 'staging', 'db2').looksAfter('app', { stores: [shared] }).enrol();
    second.looksAfter('own');
    const { refusedDatabases } = await second.open().hello();
    expect(refusedDatabases).toMatchObject([{ name: 'app', code: 'StoreOwnedElsewhere' }]);
    expect(JSON.stringify(refusedDatabases)).not.toContain('production');
    expect(storeRow(shared.storeId)).toEqual(row);
    expect(databaseRow(second.databaseId('app'))).toMatchObject({ declared: true });
  });

  test('nobody gets at a place in a bucket by the id of another', async () => {
    const elsewhere = { ...bucketStore('own/'), s3: { bucket: 'backups', prefix: 'theirs/' } };
    const nowhere = { ...bucketStore('odd/'), s3: { bucket: 'backups', prefix: 'odd/', endpoint: 'no address' } };
    const host = new TestHost(gateway, 'production', 'db1').enrol();
    host.looksAfter('app', { stores: [elsewhere, nowhere, bucketStore('fine/')] });
    const { refusedDatabases } = await host.open().hello();
    expect(refusedDatabases.map(({ code }) => code)).toEqual(['InputInvalid', 'InputInvalid']);
    expect(gateway.catalog.select().from(stores).all()).toHaveLength(1);
  });

  test.each(['', 'a/b', '-x', 'ä'])('a database that cannot be named %j is refused', async (name) => {
    const host = new TestHost(gateway, 'production', 'db1').enrol();
    host.looksAfter(name, { stores: [] });
    const answer = await host
      .open()
      .hello()
      .catch(() => undefined);
    expect(answer?.refusedDatabases.map(({ code }) => code) ?? ['InputInvalid']).toEqual(['InputInvalid']);
    expect(gateway.catalog.select().from(databases).all()).toEqual([]);
  });
});

describe('the high-water mark', () => {
  test('is of each journal, and of each agent', async () => {
    const [one, other] = ['db1', 'db2'].map((name) => new TestHost(gateway, 'production', name).enrol());
    if (!one || !other) throw new Error('none');
    const journalId = newId(1);
    const rows = [
      { agentId: one.agentId, journalId, highWater: 7 },
      { agentId: one.agentId, journalId: newId(1), highWater: 99 },
      { agentId: other.agentId, journalId, highWater: 50 },
    ];
    gateway.catalog.insert(journals).values(rows).run();
    expect(await one.open().hello({ journalId, lastSeq: 20 })).toMatchObject({ highWater: 7 });
    expect(await one.open().hello({ journalId: newId(1), lastSeq: 3 })).toMatchObject({ highWater: 0 });
  });

  test('goes back with a journal that was set back, so that what it numbers anew is asked for', async () => {
    const host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
    const link = await host.connect();
    const unknownKind = () => ({ ...host.report('log', { runId: newId(1), lines: [] }), kind: 'later' });
    const all = [unknownKind(), unknownKind(), unknownKind()];
    expect(await link.send(...all)).toMatchObject({ highWater: 3 });
    host.seq = 1;
    const back = host.open();
    expect(await back.hello()).toMatchObject({ highWater: 1 });
    expect(await back.send(unknownKind())).toMatchObject({ answers: [{ answer: 'accepted' }], highWater: 2 });
    expect(gateway.catalog.select().from(journals).all()).toMatchObject([{ highWater: 2 }]);
  });
});
