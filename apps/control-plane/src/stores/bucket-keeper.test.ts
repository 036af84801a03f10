import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { backupNames, newId, parseBackupName } from '@strideiq/core';
import type { ReportedBackup } from '@strideiq/protocol';
import { StorageError, type Store } from '@strideiq/storage';
import { and, eq } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { audit, copies, databases, policies, runs, stores } from '../catalog/schema.ts';
import { pinBackup } from '../policies/pins.ts';
import { BucketStage, dayMs, type BucketHooks } from '../testing/bucket-stage.ts';
import type { TestGateway } from '../testing/gateway.ts';
import { bucketStore, type TestHost, type TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import { BucketKeeper } from './bucket-keeper.ts';

let stage: BucketStage;
let bucket: string;
let store: Store;
let hooks: BucketHooks;
let gateway: TestGateway;
let host: TestHost;
let link: TestLink;
let keeper: BucketKeeper;

beforeEach(async () => {
  stage = await BucketStage.start();
  ({ bucket, store, hooks, gateway, host, link, keeper } = stage);
});
afterEach(async () => stage.stop());

const keep = async (...approval: Parameters<BucketKeeper['keep']> extends [string, ...infer Rest] ? Rest : never) =>
  (await keeper.keep(host.databaseId(), ...approval))[0];
const idsOf = (backups: readonly ReportedBackup[]) => backups.map(({ backupId }) => backupId);
const objects = () => readdirSync(bucket).filter((name) => name.startsWith('app_'));
function policy(retention: Record<string, object>): void {
  const version = gateway.catalog.select().from(policies).all().length + 1;
  const [first] = gateway.catalog.select().from(policies).all();
  if (!first) throw new Error('none');
  gateway.catalog
    .insert(policies)
    .values({ ...first, version, policy: { ...first.policy, retention } })
    .run();
}

describe('retention', () => {
  test('keeps thirty days where nobody says otherwise; what goes is deleted, and each stands in the audit', async () => {
    const made = await stage.nights(33);
    const old = made.slice(0, 3);
    expect((await keep())?.outcome).toEqual({ removed: idsOf(old), locked: [], problems: [] });
    expect(objects()).toHaveLength(30 * 3);
    expect(stage.inState('deleted').map(({ key }) => key)).toEqual(old.map(({ objectName }) => objectName));
    expect(stage.inState('stored', 0)).toHaveLength(33);
    const entries = gateway.catalog.select().from(audit).where(eq(audit.action, 'copy.delete')).all();
    expect(entries.map(({ actor, environment, detail }) => [actor, environment, detail['backupId']])).toEqual(
      idsOf(old).map((id) => ['retention', 'production', id]),
    );
    expect((await keep())?.outcome).toBeUndefined();
  });

  test('much at once waits for somebody to look, and then goes by their name: what they have looked at, and no more', async () => {
    const made = await stage.nights(10);
    gateway.clock.now += 8 * dayMs;
    policy({ s3: { count: 2 } });
    expect(await keep()).toMatchObject({ waits: expect.stringMatching(/remove 8 of 10 copies/) as string });
    expect(objects()).toHaveLength(30);
    const looked = idsOf([...made.slice(0, 5), ...made.slice(9)]);
    expect((await keep({ actor: 'key-7', backupIds: looked }))?.outcome?.removed).toEqual(idsOf(made.slice(0, 5)));
    expect(gateway.catalog.select().from(audit).all().at(-1)).toMatchObject({ action: 'copy.delete', actor: 'key-7' });
  });

  test('what would go in small parts waits too, once it is much in all', async () => {
    await stage.nights(12);
    gateway.clock.now += 8 * dayMs;
    let kept = 12;
    const steps = [11, 10, 9, 8, 7, 6].map((count) => ({ s3: { count } }));
    const waits: boolean[] = [];
    for (const step of steps) {
      policy(step);
      gateway.clock.now += dayMs;
      const done = await keep();
      waits.push(done?.waits !== undefined);
      kept -= done?.outcome?.removed.length ?? 0;
    }
    expect(waits).toContain(true);
    expect(kept).toBeGreaterThanOrEqual(8);
  });

  test('a backup that its host dates long ago goes no sooner than one of today would', async () => {
    await stage.nights(3);
    const at = new Date('2019-01-01T03:00:00Z');
    const names = backupNames('app', at);
    const copy = { storeId: host.storeId(1), key: names.dump, state: 'stored' as const, sizeBytes: 4 };
    const backup = madeBackup(host, { snapshotAt: at.toISOString(), objectName: names.dump, copies: [copy] });
    await link.send(host.report('run', runBody(host, newId(1), 'succeeded', { backup })));
    writeFileSync(stage.path(names.dump), 'dump');
    expect((await keep())?.outcome).toBeUndefined();
  });

  test('good copies that are said to be there and are not are no reason to remove others', async () => {
    const made = await stage.nights(40);
    for (const { objectName } of made.slice(35)) rmSync(stage.path(objectName));
    // Counted from the newest that is there, which is of five nights before the last.
    expect((await keep())?.outcome?.removed).toEqual(idsOf(made.slice(0, 5)));
    expect(stage.inState('missing')).toHaveLength(5);
  });

  test('what a host has dated long ago takes no place from others, however many it names', async () => {
    const made = await stage.nights(16);
    gateway.clock.now += 20 * dayMs;
    policy({ s3: { count: 12 } });
    for (let hour = 1; hour <= 12; hour++) {
      const at = new Date(gateway.now() - 12 * dayMs + hour * 3_600_000);
      const names = backupNames('app', at);
      const copy = { storeId: host.storeId(1), key: names.dump, state: 'stored' as const, sizeBytes: 4 };
      const backup = madeBackup(host, { snapshotAt: at.toISOString(), objectName: names.dump, copies: [copy] });
      await link.send(host.report('run', runBody(host, newId(hour), 'succeeded', { backup })));
      for (const name of [names.dump, names.manifest]) writeFileSync(stage.path(name), 'dump');
    }
    expect((await keep())?.outcome?.removed).toEqual(idsOf(made.slice(0, 4)));
  });

  test('while the agent goes by a newer policy than the catalog knows, or a store is called otherwise, nothing is removed', async () => {
    await stage.nights(33);
    gateway.catalog.update(databases).set({ runsPolicy: 9 }).run();
    expect(await keep()).toMatchObject({ waits: expect.stringContaining('version 9') as string });
    gateway.catalog.update(databases).set({ runsPolicy: 1 }).run();
    policy({ bucket: { days: 365 } });
    expect(await keep()).toMatchObject({ waits: expect.stringContaining('"bucket"') as string });
    expect(objects()).toHaveLength(99);
  });

  test('a pin that comes while the manifest is looked at still keeps its backup', async () => {
    const [old] = await stage.nights(31);
    const { get } = store;
    store.get = async (...asked) => {
      if (asked[0].endsWith('.manifest.json')) {
        pinBackup(gateway, { backupId: old?.backupId ?? '', reason: 'an audit', until: null, actor: 'key-1' });
      }
      return get.apply(store, asked);
    };
    expect((await keep())?.outcome?.removed).toEqual([]);
    expect(stage.inState('stored')).toHaveLength(31);
  });

  test('a pin keeps a backup, also one that comes while others are removed', async () => {
    const [first, second, third] = await stage.nights(33);
    const pin = (backupId = '') => pinBackup(gateway, { backupId, reason: 'an audit', until: null, actor: 'key-1' });
    pin(first?.backupId);
    hooks.beforeDelete = (key) => {
      if (key === second?.objectName) pin(third?.backupId);
    };
    expect((await keep())?.outcome?.removed).toEqual([second?.backupId]);
  });

  test('a bucket that is not known to be this database’s has nothing removed', async () => {
    await stage.nights(33);
    for (const breakIt of [() => stage.own(newId(1)), () => rmSync(stage.path('strideiq-owner.json'))]) {
      breakIt();
      expect(await keep()).toMatchObject({
        waits: expect.stringMatching(/not known to be/) as string,
        drift: [{ kind: 'missing', key: 'strideiq-owner.json' }],
      });
    }
    expect(objects()).toHaveLength(99);
    expect(stage.inState('missing')).toEqual([]);
  });

  test('what a host names no more is left alone', async () => {
    await stage.nights(33);
    gateway.catalog
      .update(stores)
      .set({ declared: false })
      .where(eq(stores.id, host.storeId(1)))
      .run();
    expect(await keep()).toBeUndefined();
    expect(objects()).toHaveLength(99);
  });

  test('without a policy nothing is removed', async () => {
    await stage.nights(33);
    gateway.catalog.delete(policies).run();
    expect(await keep()).toMatchObject({ drift: [], waits: expect.stringContaining('no policy') as string });
    expect(objects()).toHaveLength(99);
  });

  test('what Object Lock keeps is locked, and asked for again a day later', async () => {
    const [old] = await stage.nights(31);
    hooks.isLocked = (key) => key === old?.objectName;
    expect((await keep())?.outcome?.locked).toEqual([old?.backupId]);
    expect(stage.inState('locked')).toMatchObject([{ errorCode: 'ObjectLocked' }]);
    hooks.isLocked = () => false;
    expect((await keep())?.outcome?.removed).toEqual([]);
    gateway.clock.now += dayMs;
    expect((await keep())?.outcome?.removed).toEqual([old?.backupId]);
  });

  test('a removal that was cut short is finished, or taken back where it is not to be any more', async () => {
    const [old] = await stage.nights(31);
    hooks.isLocked = (key) => {
      if (key.endsWith('.manifest.json')) throw new Error('cut');
      return false;
    };
    expect((await keep())?.outcome?.problems).toHaveLength(1);
    expect(stage.inState('deleting')).toMatchObject([{ backupId: old?.backupId, error: 'no rule keeps it any more' }]);
    hooks.isLocked = () => false;
    expect((await keep())?.outcome?.removed).toEqual([old?.backupId]);
    expect(objects()).toHaveLength(90);
    const [next] = (await stage.nights(1)) && stage.inState('stored');
    hooks.isLocked = () => {
      throw new Error('cut');
    };
    expect((await keep())?.outcome?.problems).toHaveLength(1);
    pinBackup(gateway, { backupId: next?.backupId ?? '', reason: 'an audit', until: null, actor: 'key-1' });
    await stage.nights(1);
    await keep();
    expect(stage.inState('deleting').map(({ backupId }) => backupId)).not.toContain(next?.backupId);
    expect(stage.inState('stored').map(({ backupId }) => backupId)).toContain(next?.backupId);
  });

  test('what is about to be read stays until it was, and all while nobody knows what is read', async () => {
    const [old] = await stage.nights(31);
    const run = { id: newId(1), kind: 'restore', databaseId: host.databaseId(), agentId: host.agentId };
    gateway.catalog
      .insert(runs)
      .values({ ...run, state: 'running', createdAt: 1, request: { backupId: old?.backupId } })
      .run();
    expect((await keep())?.outcome?.removed).toEqual([]);
    gateway.catalog.update(runs).set({ request: null }).where(eq(runs.id, run.id)).run();
    expect((await keep())?.outcome?.removed).toEqual([]);
    gateway.catalog.update(runs).set({ state: 'succeeded' }).where(eq(runs.id, run.id)).run();
    expect((await keep())?.outcome?.removed).toEqual([old?.backupId]);
  });

  test.each([
    [
      'its name is none of the database’s',
      (key: string) =>
        gateway.catalog.update(copies).set({ key: 'precious_20200101_030000.sql.gz' }).where(eq(copies.key, key)).run(),
    ],
    [
      'another backup is said to be there too',
      (key: string) => {
        const newest = stage.inState('stored').at(-1);
        const ofNewest = and(eq(copies.backupId, newest?.backupId ?? ''), eq(copies.storeId, host.storeId(1)));
        gateway.catalog.update(copies).set({ key }).where(ofNewest).run();
      },
    ],
    [
      'its manifest is another one',
      (key: string) => writeFileSync(stage.path(parseBackupName(key)?.names.manifest ?? ''), 'another'),
    ],
    ['its manifest is gone', (key: string) => rmSync(stage.path(parseBackupName(key)?.names.manifest ?? ''))],
  ])('a copy is left alone where %s', async (_, change) => {
    const [old] = await stage.nights(32);
    change(old?.objectName ?? '');
    const done = (await keep())?.outcome;
    expect(done?.problems.join()).toMatch(/left alone/);
    expect(done?.removed).not.toContain(old?.backupId);
    expect(readdirSync(bucket)).toContain(old?.objectName);
  });

  test('one bucket that fails keeps no other from being looked after', async () => {
    const [old] = await stage.nights(31);
    host.looksAfter('other', { stores: [bucketStore('other/')] });
    await link.close();
    await host.connect();
    const { openOwnStore } = gateway;
    const failing: typeof openOwnStore = async (row) => {
      if (row.location.endsWith('/other/')) throw new StorageError('BucketMissing', 'It is gone.', 'Make it.');
      return openOwnStore(row);
    };
    const both = new BucketKeeper({ ...gateway, openOwnStore: failing });
    await both.keepAll();
    expect(stage.inState('deleted')).toMatchObject([{ backupId: old?.backupId }]);
    expect(gateway.said.some(({ level, text }) => level === 'warn' && text.includes('It is gone.'))).toBe(true);
    expect(await both.keep(host.databaseId('other'))).toMatchObject([
      { waits: expect.stringContaining('gone') as string },
    ]);
  });

  test('a stop ends it after the copy that it is at', async () => {
    await stage.nights(33);
    let stopped: Promise<void> | undefined;
    hooks.beforeDelete = () => {
      stopped ??= keeper.stop();
    };
    await keep();
    await stopped;
    expect(stage.inState('deleted')).toHaveLength(1);
    expect(stage.inState('deleting')).toEqual([]);
  });
});
