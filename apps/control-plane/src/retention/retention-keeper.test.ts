import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backupNames, newId } from '@strideiq/core';
import type { ReportedBackup } from '@strideiq/protocol';
import { openDirectoryStore, StorageError, type Store } from '@strideiq/storage';
import { and, eq } from 'drizzle-orm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { audit, copies, databases, runs } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { bucketStore, TestHost, type TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import { RetentionKeeper } from './retention-keeper.ts';

/** A directory in the place of the bucket: what is asked of a store is the same. */

const dayMs = 86_400_000;
let bucket: string;
let store: Store;
let isLocked: (key: string) => boolean;
let gateway: TestGateway;
let host: TestHost;
let link: TestLink;
let keeper: RetentionKeeper;

beforeEach(async () => {
  bucket = mkdtempSync(join(tmpdir(), 'strideiq-bucket-'));
  store = openDirectoryStore({ path: bucket, host: 'db1' });
  isLocked = () => false;
  const guardedStore = new Proxy(store, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'delete') return typeof value === 'function' ? value.bind(target) : value;
      return async (name: string) => {
        if (isLocked(name)) throw new StorageError('ObjectLocked', `${name} is kept by Object Lock.`, 'Wait.');
        return target.delete(name);
      };
    },
  });
  gateway = await startGateway({ openOwnStore: async () => Promise.resolve(guardedStore) });
  host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
  host.databases[0]?.stores.push(bucketStore('app/'));
  link = await host.connect();
  keeper = new RetentionKeeper(gateway);
  own(host.databaseId());
});
afterEach(async () => {
  await keeper.stop();
  await gateway.stop();
  store.close();
  rmSync(bucket, { recursive: true });
});

function own(databaseId: string): void {
  const owner = { formatVersion: 1, storeId: host.storeId(1), environment: 'production', database: 'app', databaseId };
  writeFileSync(join(bucket, 'strideiq-owner.json'), JSON.stringify(owner));
}

/** One a night, for so many nights; the newest is of some hours ago. */
async function nights(count: number): Promise<ReportedBackup[]> {
  const made: ReportedBackup[] = [];
  for (let back = count - 1; back >= 0; back--) {
    const at = new Date(gateway.now() - back * dayMs - dayMs / 4);
    const names = backupNames('app', at);
    const copy = (storeAt: number) => ({ storeId: host.storeId(storeAt), key: names.dump, state: 'stored' as const });
    const backup = madeBackup(host, {
      snapshotAt: at.toISOString(),
      objectName: names.dump,
      copies: [copy(0), copy(1)].map((each) => ({ ...each, sizeBytes: 1000 })),
    });
    await link.send(host.report('run', runBody(host, newId(at.getTime()), 'succeeded', { backup })));
    for (const name of [names.dump, names.privileges, names.manifest]) writeFileSync(join(bucket, name), 'x');
    made.push(backup);
  }
  return made;
}

const keep = async (by?: { actor: string }) => (await keeper.keep(host.databaseId(), by))[0];
const idsOf = (backups: readonly ReportedBackup[]) => backups.map(({ backupId }) => backupId);
const objects = () => readdirSync(bucket).filter((name) => name.startsWith('app_'));
const inState = (state: 'deleted' | 'deleting' | 'locked' | 'stored', at = 1) =>
  gateway.catalog
    .select()
    .from(copies)
    .where(and(eq(copies.storeId, host.storeId(at)), eq(copies.state, state)))
    .all();
const policy = (retention: object) => gateway.catalog.update(databases).set({ policy: { retention } }).run();

test('a bucket keeps thirty days where nobody says otherwise; what goes is deleted, and each stands in the audit', async () => {
  const made = await nights(33);
  const old = made.slice(0, 3);
  expect((await keep())?.outcome).toEqual({ removed: idsOf(old), locked: [], problems: [] });
  expect(objects()).toHaveLength(30 * 3);
  expect(inState('deleted').map(({ key }) => key)).toEqual(old.map(({ objectName }) => objectName));
  expect(inState('stored', 0)).toHaveLength(33);
  const entries = gateway.catalog.select().from(audit).where(eq(audit.action, 'copy.delete')).all();
  expect(entries.map(({ actor, environment, detail }) => [actor, environment, detail['backupId']])).toEqual(
    idsOf(old).map((id) => ['retention', 'production', id]),
  );
  expect((await keep())?.outcome?.removed).toEqual([]);
});

test('much at once waits for somebody to look, and then goes by their name', async () => {
  const made = await nights(10);
  policy({ s3: { count: 2 } });
  expect(await keep()).toMatchObject({ waits: expect.stringMatching(/remove 8 of 10 copies at once/) as string });
  expect(objects()).toHaveLength(30);
  expect((await keep({ actor: 'key-7' }))?.outcome?.removed).toEqual(idsOf(made.slice(0, 8)));
  expect(gateway.catalog.select().from(audit).all().at(-1)).toMatchObject({ action: 'copy.delete', actor: 'key-7' });
});

test('a policy that cannot be read removes nothing', async () => {
  await nights(40);
  policy({ s3: { day: 1 } });
  expect(await keep()).toMatchObject({ waits: expect.stringMatching(/its rules cannot be read/) as string });
  expect(objects()).toHaveLength(120);
});

test('a bucket that is not known to be this database’s has nothing removed', async () => {
  await nights(33);
  for (const breakIt of [() => own(newId(1)), () => rmSync(join(bucket, 'strideiq-owner.json'))]) {
    breakIt();
    expect((await keep())?.outcome).toMatchObject({
      removed: [],
      problems: [expect.stringMatching(/not known to be/)],
    });
  }
  expect(objects()).toHaveLength(99);
});

test('what Object Lock keeps is locked, and asked for again a day later', async () => {
  const [old] = await nights(31);
  isLocked = (key) => key === old?.objectName;
  expect((await keep())?.outcome?.locked).toEqual([old?.backupId]);
  expect(inState('locked')).toMatchObject([{ errorCode: 'ObjectLocked' }]);
  isLocked = () => false;
  expect((await keep())?.outcome?.removed).toEqual([]);
  gateway.clock.now += dayMs;
  expect((await keep())?.outcome?.removed).toEqual([old?.backupId]);
});

test('a removal that was cut short is finished', async () => {
  const [old] = await nights(31);
  isLocked = (key) => {
    if (key.endsWith('.manifest.json')) throw new Error('cut');
    return false;
  };
  expect((await keep())?.outcome?.problems).toHaveLength(1);
  expect(inState('deleting')).toHaveLength(1);
  isLocked = () => false;
  expect((await keep())?.outcome?.removed).toEqual([old?.backupId]);
  expect(objects()).toHaveLength(90);
});

test('what is about to be read stays until it was', async () => {
  const [old] = await nights(31);
  const run = { id: newId(1), kind: 'restore', databaseId: host.databaseId(), agentId: host.agentId };
  const request = { backupId: old?.backupId };
  gateway.catalog
    .insert(runs)
    .values({ ...run, state: 'running', createdAt: 1, request })
    .run();
  expect((await keep())?.outcome?.removed).toEqual([]);
  gateway.catalog.update(runs).set({ state: 'succeeded' }).where(eq(runs.id, run.id)).run();
  expect((await keep())?.outcome?.removed).toEqual([old?.backupId]);
});

test('nothing is removed under a name that is none of the database’s', async () => {
  const [old] = await nights(31);
  writeFileSync(join(bucket, 'precious_20200101_030000.sql.gz'), 'x');
  const ofOld = and(eq(copies.backupId, old?.backupId ?? ''), eq(copies.storeId, host.storeId(1)));
  gateway.catalog.update(copies).set({ key: 'precious_20200101_030000.sql.gz' }).where(ofOld).run();
  expect((await keep())?.outcome).toMatchObject({ removed: [], problems: [expect.stringMatching(/left alone/)] });
  expect(readdirSync(bucket)).toContain('precious_20200101_030000.sql.gz');
});
