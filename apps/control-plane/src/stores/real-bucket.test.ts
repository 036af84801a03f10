import { createHash } from 'node:crypto';
import { CreateMultipartUploadCommand } from '@aws-sdk/client-s3';
import { backupNames, newId, policySchema } from '@strideiq/core';
import { once, openS3Store, type Store } from '@strideiq/storage';
import { startS3, type S3Server } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copies, policies } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { bucketStore, TestHost } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import { BucketKeeper } from './bucket-keeper.ts';
import { OwnStores } from './own-stores.ts';

/** The keeper on a real S3 server, by the credentials of the control plane's own configuration. */

const dayMs = 86_400_000;
let server: S3Server;
let gateway: TestGateway;
let store: Store;
let own: OwnStores;
let host: TestHost;

beforeAll(async () => {
  server = await startS3();
  await server.createBucket('kept');
  const credentials = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey };
  const { endpoint } = server;
  store = await openS3Store({ bucket: 'kept', prefix: 'app/', endpoint, credentials });
  const env = { KEPT_ID: server.accessKey, KEPT_SECRET: server.secretKey };
  const from = { accessKeyIdEnv: 'KEPT_ID', secretAccessKeyEnv: 'KEPT_SECRET' };
  const configured = [{ bucket: 'kept', prefix: '', endpoint, credentials: from }];
  own = new OwnStores({ configured, env, secrets: new Set() });
  gateway = await startGateway({ openOwnStore: own.open, startAt: Date.now() + 3_600_000 });
  host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
  host.databases[0]?.stores.push(bucketStore('app/', 'kept', endpoint));
});
afterAll(async () => {
  await gateway?.stop();
  own?.close();
  store?.close();
  await server?.stop();
});

const put = async (key: string, text: string) => store.put(key, once(Buffer.from(text)), { replace: true });
const states = () =>
  gateway.catalog
    .select()
    .from(copies)
    .where(eq(copies.storeId, host.storeId(1)))
    .all()
    .map(({ state }) => state);

test('is compared with the catalog, rid of uploads that were left, and keeps what the policy says', async () => {
  const link = await host.connect();
  const databaseId = host.databaseId();
  const owner = { formatVersion: 1, storeId: host.storeId(1), environment: 'production', database: 'app', databaseId };
  await put('strideiq-owner.json', JSON.stringify(owner));
  const made: string[] = [];
  for (let night = 0; night < 5; night++) {
    gateway.clock.now += dayMs;
    const at = new Date(gateway.now());
    const names = backupNames('app', at);
    const manifest = `the manifest of ${names.stem}`;
    const backup = madeBackup(host, {
      snapshotAt: at.toISOString(),
      objectName: names.dump,
      manifestSha256: createHash('sha256').update(manifest).digest('hex'),
      copies: [{ storeId: host.storeId(1), key: names.dump, state: 'stored', sizeBytes: 4 }],
    });
    await put(names.dump, 'dump');
    await put(names.privileges, 'owners');
    await put(names.manifest, manifest);
    await link.send(host.report('run', runBody(host, newId(at.getTime()), 'succeeded', { backup })));
    made.push(names.dump);
  }
  const client = server.client();
  const left = { Bucket: 'kept', Key: 'app/app_20260101_030000.sql.gz' };
  await client.send(new CreateMultipartUploadCommand(left));
  client.destroy();
  const keeper = new BucketKeeper(gateway);
  const [first] = await keeper.keep(databaseId);
  expect(first).toMatchObject({ drift: [] });
  // It began days ago, by this clock.
  expect(await Array.fromAsync(store.unfinished())).toEqual([]);

  // By hand: one deleted, one written over with as many bytes, and one that is none of ours.
  const [oldest = '', , , changed = '', newest = ''] = made;
  await store.delete(newest);
  await put('notes.txt', 'mine');
  await new Promise((resolve) => setTimeout(resolve, 1100));
  await put(changed, 'DUMP');
  const [looked] = await keeper.look(databaseId);
  // By key.
  expect(looked?.drift?.map(({ kind, key }) => [kind, key])).toEqual([
    ['changed', changed],
    ['missing', newest],
    ['foreign', 'notes.txt'],
  ]);
  expect(states()).toEqual(['stored', 'stored', 'stored', 'stored', 'missing']);

  const policy = policySchema.parse({ retention: { s3: { count: 2 } } });
  gateway.catalog.insert(policies).values({ databaseId, version: 2, policy, changedAt: 1, changedBy: 'key' }).run();
  gateway.clock.now += 8 * dayMs;
  const [kept] = await keeper.keep(databaseId);
  // Two good ones stay: neither the one that is gone nor the one that was written over is one of them.
  expect(kept?.outcome).toMatchObject({ problems: [], removed: [expect.any(String)] });
  expect(states()).toEqual(['deleted', 'stored', 'stored', 'stored', 'missing']);
  expect(await store.head(oldest)).toBeUndefined();
  expect(
    (await Array.fromAsync(store.list())).map(({ key }) => key).filter((key) => key.endsWith('.sql.gz')),
  ).toHaveLength(7);
  await keeper.stop();
  await link.close();
});
