import { newId, uploadKey } from '@strideiq/core';
import { commandSchema } from '@strideiq/protocol';
import { waitFor } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { audit, runs } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { bucketStore, TestHost, type TestLink } from '../testing/host.ts';

let gateway: TestGateway;
let host: TestHost;
let link: TestLink;
beforeEach(async () => {
  gateway = await startGateway();
  host = new TestHost(gateway, 'production', 'db1').looksAfter('app').looksAfter('plain').enrol();
  host.commandKinds.push('restoreUpload', 'presignUpload');
  host.databases[0]?.stores.push(bucketStore('app/'));
  host.databases[0]?.allow.push('restoreUpload');
  link = await host.connect();
});
afterEach(async () => await gateway.stop());

const requester = { keyId: 'key-1' };
const bucketId = () => host.storeId(1);
const received = async () => {
  await waitFor('the command', () => link.commands.length > 0);
  return commandSchema.parse(link.commands.at(-1));
};
const codeOfRefusal = async (asked: Promise<unknown>) =>
  await asked.then(
    () => undefined,
    (error: unknown) => (error as { code: string }).code,
  );

describe('a place for an upload', () => {
  test('is in the bucket of the database, by the rights of its host, and stands in the audit without its URL', async () => {
    const asked = gateway.work.uploadUrl({ databaseId: host.databaseId(), sizeBytes: 42 }, requester);
    const command = await received();
    expect(command).toMatchObject({
      kind: 'presignUpload',
      databaseId: host.databaseId(),
      body: { storeId: bucketId(), sizeBytes: 42 },
    });
    const url = 'https://bucket.example/there?signature=secret';
    const headers = { 'x-amz-server-side-encryption': 'AES256' };
    await link.api.presigned.mutate({ commandId: command.commandId, urls: [url], headers });
    const { key, ...place } = await asked;
    expect(place).toMatchObject({ storeId: bucketId(), url, headers });
    expect(key).toMatch(/^uploads\/[0-9a-f-]{36}\.sql\.gz$/);
    const entry = gateway.catalog.select().from(audit).all().at(-1);
    expect(entry).toMatchObject({
      actor: 'key-1',
      action: 'upload.request',
      environment: 'production',
      detail: { key },
    });
    expect(JSON.stringify(entry)).not.toContain('secret');
  });

  test('is refused where there is no bucket, and where the host does not allow it', async () => {
    const ask = async (databaseId: string) => await gateway.work.uploadUrl({ databaseId, sizeBytes: 42 }, requester);
    expect(await codeOfRefusal(ask(host.databaseId('plain')))).toBe('PresignFailed');
    expect(await codeOfRefusal(ask(newId(1)))).toBe('NotFound');
    host.databases[0]?.allow.pop();
    await link.hello();
    expect(await codeOfRefusal(ask(host.databaseId()))).toBe('ActionNotAllowed');
    expect(link.commands).toEqual([]);
  });

  test('is refused at once where the agent is away, and where the host’s file names the bucket no more', async () => {
    const ask = async () => await gateway.work.uploadUrl({ databaseId: host.databaseId(), sizeBytes: 42 }, requester);
    host.databases[0]?.stores.pop();
    await link.hello();
    expect(await codeOfRefusal(ask())).toBe('PresignFailed');
    host.databases[0]?.stores.push(bucketStore('app/'));
    await link.hello();
    await link.close();
    await waitFor('the agent to be away', () => !gateway.connections.isConnected(host.agentId));
    expect(await codeOfRefusal(ask())).toBe('PresignFailed');
  });
});

describe('a restore of it', () => {
  const key = uploadKey(newId(1));
  const restore = async (more: { key?: string; storeId?: string; into?: string } = {}, by = requester) =>
    await gateway.work.requestUploadRestore(
      { databaseId: host.databaseId(), storeId: bucketId(), key, into: 'app_2', tables: ['a.b'], ...more },
      by,
    );

  test('is a run of that host', async () => {
    const { runId } = await restore();
    expect(await received()).toMatchObject({
      kind: 'restoreUpload',
      runId,
      databaseId: host.databaseId(),
      body: { storeId: bucketId(), key, into: 'app_2', tables: ['a.b'] },
    });
    const run = gateway.catalog.select().from(runs).where(eq(runs.id, runId)).get();
    expect(run).toMatchObject({ kind: 'restore', backupId: null, request: { into: 'app_2', mode: 'upload', key } });
    expect(gateway.catalog.select().from(audit).all().at(-1)).toMatchObject({
      action: 'restore.request',
      subject: host.databaseId(),
      detail: { runId, key },
    });
  });

  test('asked for twice by one key is one', async () => {
    const keyed = { ...requester, idempotencyKey: 'once' };
    const first = await restore({}, keyed);
    expect(await restore({}, keyed)).toEqual({ ...first, repeated: true });
    expect(await codeOfRefusal(restore({ into: 'app_3' }, keyed))).toBe('IdempotencyKeyReused');
  });

  test.each([
    ['another object', { key: 'app_20261124_075901.sql.gz' }],
    ['an object elsewhere', { key: `../${key}` }],
    ['a name that no database can have', { into: 'a\nb' }],
  ])('of %s is refused', async (_, more) => {
    expect(await codeOfRefusal(restore(more))).toBe('InputInvalid');
  });

  test('out of a store of another database is refused', async () => {
    expect(await codeOfRefusal(restore({ storeId: host.storeId(0, 1) }))).toBe('InputInvalid');
  });
});
