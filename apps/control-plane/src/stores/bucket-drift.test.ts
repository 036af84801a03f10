import { readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { parseBackupName } from '@strideiq/core';
import { StorageError } from '@strideiq/storage';
import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { databases, drift } from '../catalog/schema.ts';
import { BucketStage, dayMs } from '../testing/bucket-stage.ts';
import type { TestGateway } from '../testing/gateway.ts';
import type { TestHost } from '../testing/host.ts';
import { BucketKeeper } from './bucket-keeper.ts';

/** How a bucket differs from the catalog. */

let stage: BucketStage;
let bucket: string;
let gateway: TestGateway;
let host: TestHost;
let keeper: BucketKeeper;

beforeEach(async () => {
  stage = await BucketStage.start();
  ({ bucket, gateway, host, keeper } = stage);
});
afterEach(async () => stage.stop());

const found = () =>
  gateway.catalog
    .select()
    .from(drift)
    .all()
    .map(({ kind, key }) => [kind, key]);
const look = async () => (await keeper.look(host.databaseId()))[0];

test('deleted by hand, added, resized and written again: each is told within one pass, and marked', async () => {
  const [gone, resized, changed, bare] = await stage.nights(4);
  expect((await look())?.drift).toEqual([]);
  rmSync(stage.path(gone?.objectName ?? ''));
  writeFileSync(stage.path(resized?.objectName ?? ''), 'another dump');
  writeFileSync(stage.path(changed?.objectName ?? ''), 'DUMP');
  utimesSync(stage.path(changed?.objectName ?? ''), new Date(), new Date(Date.now() - 60_000));
  rmSync(stage.path(parseBackupName(bare?.objectName ?? '')?.names.manifest ?? ''));
  writeFileSync(stage.path('notes.txt'), 'mine');
  writeFileSync(stage.path('app_20200101_030000.sql.gz'), 'an old script’s');
  await look();
  expect(found()).toEqual(
    expect.arrayContaining([
      ['missing', gone?.objectName],
      ['resized', resized?.objectName],
      ['changed', changed?.objectName],
      ['incomplete', bare?.objectName],
      ['foreign', 'notes.txt'],
      ['unmanaged', 'app_20200101_030000.sql.gz'],
    ]),
  );
  expect(found()).toHaveLength(6);
  expect(stage.inState('missing')).toMatchObject([{ backupId: gone?.backupId, errorCode: 'CopyMissing' }]);
  expect(stage.inState('corrupt')).toMatchObject([{ backupId: resized?.backupId, errorCode: 'CopyCorrupt' }]);
});

test('what is back is stored again, and what is put right is no drift any more; what stays keeps its date', async () => {
  const [gone] = await stage.nights(2);
  await look();
  rmSync(stage.path(gone?.objectName ?? ''));
  writeFileSync(stage.path('notes.txt'), 'mine');
  await look();
  const [notes] = gateway.catalog.select().from(drift).where(eq(drift.kind, 'foreign')).all();
  gateway.clock.now += dayMs;
  writeFileSync(stage.path(gone?.objectName ?? ''), 'dump');
  await look();
  await look();
  expect(stage.inState('stored')).toHaveLength(2);
  expect(gateway.catalog.select().from(drift).all()).toEqual([notes]);
});

test('uploads that were left for a day are ended', async () => {
  writeFileSync(stage.path('.app_20260101_030000.sql.gz.abc.partial'), 'half');
  await look();
  expect(readdirSync(bucket).filter((name) => name.endsWith('.partial'))).toHaveLength(1);
  gateway.clock.now += 2 * dayMs;
  await look();
  expect(readdirSync(bucket).filter((name) => name.endsWith('.partial'))).toEqual([]);
});

test('where uploads may not be listed, what is gone is told all the same', async () => {
  const [gone] = await stage.nights(1);
  rmSync(stage.path(gone?.objectName ?? ''));
  stage.store.unfinished = () => {
    throw new StorageError('AccessDenied', 'The store refuses to list uploads.', 'Allow it.');
  };
  expect(await look()).toMatchObject({ waits: expect.stringContaining('refuses to list uploads') as string });
  expect(found()).toContainEqual(['missing', gone?.objectName]);
});

test('of a database that is gone from the catalog’s files nothing is looked at, and a bucket without credentials is said', async () => {
  gateway.catalog.update(databases).set({ declared: false }).run();
  const without = new BucketKeeper({ ...gateway, openOwnStore: async () => Promise.resolve(undefined) });
  await without.keepAll();
  expect(gateway.said.filter(({ text }) => text.includes('credentials'))).toEqual([]);
  expect(await without.look(host.databaseId())).toMatchObject([
    { waits: expect.stringContaining('credentials') as string },
  ]);
});
