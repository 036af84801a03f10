import { newId } from '@strideiq/core';
import { commandSchema } from '@strideiq/protocol';
import { waitFor } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { audit, commands, copies, idempotencyKeys, runs } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { bucketStore, TestHost, type TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import { rowsOf } from '../testing/tables.ts';
import { prune } from './prune.ts';

let gateway: TestGateway;
let host: TestHost;
let link: TestLink;
beforeEach(async () => {
  gateway = await startGateway();
  host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
  host.databases[0]?.stores.push(bucketStore('app/'));
  link = await host.connect();
});
afterEach(async () => await gateway.stop());

const requester = { keyId: 'key-1' };
const runRow = (id: string) => gateway.catalog.select().from(runs).where(eq(runs.id, id)).get();
const commandOf = (runId: string) => gateway.catalog.select().from(commands).where(eq(commands.runId, runId)).get();
const received = async (count: number) =>
  await waitFor(`${count} commands`, () => link.commands.length >= count && link.commands);
const lastAudit = () => gateway.catalog.select().from(audit).all().at(-1);
const codeOf = async (asked: Promise<unknown>) =>
  await asked.then(
    () => undefined,
    (error: unknown) => (error as { code: string }).code,
  );

describe('a backup that is asked for', () => {
  test('is a run, a command and an entry in the audit', async () => {
    const { runId, repeated } = await gateway.work.requestBackup({ databaseId: host.databaseId() }, requester);
    expect(repeated).toBe(false);
    const [command] = await received(1);
    expect(commandSchema.parse(command)).toMatchObject({ kind: 'backup', runId, body: {} });
    expect(runRow(runId)).toMatchObject({
      kind: 'backup',
      state: 'dispatched',
      databaseId: host.databaseId(),
      agentId: host.agentId,
      commandId: command?.commandId,
      requestedBy: 'key-1',
      request: { databaseId: host.databaseId() },
    });
    expect(lastAudit()).toMatchObject({
      actor: 'key-1',
      action: 'backup.request',
      environment: 'production',
      subject: host.databaseId(),
      detail: { runId, agentId: host.agentId },
    });
  });

  test('may name stores, of that database alone', async () => {
    const storeIds = [host.storeId(1)];
    await gateway.work.requestBackup({ databaseId: host.databaseId(), storeIds }, requester);
    expect(await received(1)).toMatchObject([{ body: { storeIds } }]);
    const before = rowsOf(gateway.catalog);
    const foreign = gateway.work.requestBackup({ databaseId: host.databaseId(), storeIds: [newId(1)] }, requester);
    expect(await codeOf(foreign)).toBe('InputInvalid');
    expect(await codeOf(gateway.work.requestBackup({ databaseId: newId(1) }, requester))).toBe('NotFound');
    expect(rowsOf(gateway.catalog)).toEqual(before);
  });
});

describe('a verify that is asked for', () => {
  let backup: ReturnType<typeof madeBackup>;
  beforeEach(async () => {
    backup = madeBackup(host);
    await link.send(host.report('run', runBody(host, newId(1), 'succeeded', { backup })));
  });
  const verify = async (storeIds?: string[]) =>
    await gateway.work.requestVerify({ backupId: backup.backupId, ...(storeIds ? { storeIds } : {}) }, requester);

  test('reads back every copy that may be there', async () => {
    gateway.catalog.update(copies).set({ state: 'missing' }).where(eq(copies.storeId, host.storeId())).run();
    const { runId } = await verify();
    const [command] = await received(1);
    const body = { backupId: backup.backupId, key: backup.objectName };
    expect(commandSchema.parse(command)).toMatchObject({ kind: 'verify', runId, body });
    expect(command?.body).toMatchObject({ storeIds: expect.arrayContaining([host.storeId(0), host.storeId(1)]) });
    expect(runRow(runId)).toMatchObject({ kind: 'verify', backupId: backup.backupId });
    expect(lastAudit()).toMatchObject({ action: 'verify.request', subject: backup.backupId });
  });

  test('or those in the stores named', async () => {
    await verify([host.storeId(1)]);
    expect(await received(1)).toMatchObject([{ body: { storeIds: [host.storeId(1)] } }]);
  });

  test('is refused where there is none', async () => {
    expect(await codeOf(verify([newId(1)]))).toBe('BackupNotRestorable');
    gateway.catalog.update(copies).set({ state: 'deleted' }).run();
    expect(await codeOf(verify())).toBe('BackupNotRestorable');
    expect(await codeOf(gateway.work.requestVerify({ backupId: newId(1) }, requester))).toBe('NotFound');
  });

  test('takes copies of different names one by one', async () => {
    gateway.catalog
      .update(copies)
      .set({ key: 'app_20261124_075902.sql.gz' })
      .where(eq(copies.storeId, host.storeId(1)))
      .run();
    expect(await codeOf(verify())).toBe('InputInvalid');
    await verify([host.storeId(1)]);
    expect(await received(1)).toMatchObject([{ body: { key: 'app_20261124_075902.sql.gz' } }]);
  });
});

describe('an idempotency key', () => {
  const keyed = { keyId: 'key-1', idempotencyKey: 'nightly' };
  const backup = async (requester: { keyId: string; idempotencyKey?: string }, storeIds?: string[]) =>
    await gateway.work.requestBackup({ databaseId: host.databaseId(), ...(storeIds ? { storeIds } : {}) }, requester);

  test('gives the same run for the same request, and does nothing a second time', async () => {
    const { runId } = await backup(keyed);
    await received(1);
    const before = rowsOf(gateway.catalog);
    expect(await backup(keyed)).toEqual({ runId, repeated: true });
    expect(rowsOf(gateway.catalog)).toEqual(before);
  });

  test('gives the same run also when the two are asked at once', async () => {
    const both = await Promise.all([backup(keyed), backup(keyed)]);
    expect(new Set(both.map(({ runId }) => runId)).size).toBe(1);
    expect(both.filter(({ repeated }) => repeated)).toHaveLength(1);
  });

  test('is refused for another request, and is each caller’s own', async () => {
    const { runId } = await backup(keyed);
    expect(await codeOf(backup(keyed, [host.storeId()]))).toBe('IdempotencyKeyReused');
    const other = await backup({ ...keyed, keyId: 'key-2' });
    expect(other.repeated).toBe(false);
    expect(other.runId).not.toBe(runId);
    expect(await backup({ ...keyed, idempotencyKey: 'weekly' })).toMatchObject({ repeated: false });
  });

  test('of a request that was refused can be used again', async () => {
    host.databases[0]?.allow.splice(0, 1);
    await link.hello();
    expect(await codeOf(backup(keyed))).toBe('ActionNotAllowed');
    host.databases[0]?.allow.push('backup');
    await link.hello();
    expect(await backup(keyed)).toMatchObject({ repeated: false });
  });

  test('gives the same command after the catalog was set back, which its host does not do twice', async () => {
    const copyDir = mkdtempSync(join(tmpdir(), 'strideiq-set-back-'));
    gateway.catalog.$client.pragma('wal_checkpoint(TRUNCATE)');
    copyFileSync(join(gateway.dataDir, 'catalog.db'), join(copyDir, 'catalog.db'));
    const { runId } = await backup(keyed);
    const [command] = await received(1);
    const done = [
      host.report(
        'run',
        runBody(host, runId, 'succeeded', { commandId: command?.commandId ?? '', backup: madeBackup(host) }),
      ),
      host.report('command', { commandId: command?.commandId ?? '', state: 'done' }),
    ];
    await link.send(...done);
    const older = await startGateway({ dataDir: copyDir, startAt: gateway.now() + 1000 });
    const again = async () => await older.work.requestBackup({ databaseId: host.databaseId() }, keyed);
    const before = rowsOf(older.catalog);
    // Asked before its host has told of it: the command has the id that the host knows.
    expect(await again()).toEqual({ runId, repeated: false });
    expect(older.catalog.select().from(commands).get()).toMatchObject({ id: command?.commandId, runId });
    // Asked after: the run is there already.
    older.catalog.delete(commands).run();
    older.catalog.delete(runs).run();
    older.catalog.delete(idempotencyKeys).run();
    expect({ ...rowsOf(older.catalog), audit: [] }).toEqual({ ...before, audit: [] });
    const resent = new TestHost(older, host.environment, host.hostname);
    Object.assign(resent, {
      agentId: host.agentId,
      credential: host.credential,
      databases: host.databases,
      journalId: host.journalId,
      seq: host.seq,
    });
    expect(await (await resent.connect()).send(...done)).toMatchObject({
      answers: [{ answer: 'accepted' }, { answer: 'accepted' }],
    });
    expect(await again()).toEqual({ runId, repeated: true });
    expect(older.catalog.select().from(commands).all()).toEqual([]);
    expect(older.catalog.select().from(runs).all()).toMatchObject([{ id: runId, state: 'succeeded' }]);
    await older.stop();
    rmSync(copyDir, { recursive: true, force: true });
  });

  test('is forgotten after 7 days, and stands for a new run then', async () => {
    const { runId } = await backup(keyed);
    gateway.clock.now += 7 * 86_400_000 - 1;
    prune(gateway);
    expect(await backup(keyed)).toEqual({ runId, repeated: true });
    gateway.clock.now += 2;
    prune(gateway);
    const later = await backup(keyed);
    expect(later.repeated).toBe(false);
    expect(later.runId).not.toBe(runId);
    expect(commandOf(later.runId)?.id).not.toBe(commandOf(runId)?.id);
  });
});

describe('cancelling', () => {
  const cancel = async (runId: string, key = requester) => await gateway.work.cancelRun(runId, key);
  const ask = async () => (await gateway.work.requestBackup({ databaseId: host.databaseId() }, requester)).runId;

  test('a run that its host never heard of ends it at once', async () => {
    await link.close();
    const runId = await ask();
    expect(await cancel(runId)).toEqual({ runId, repeated: false });
    expect(runRow(runId)).toMatchObject({ state: 'cancelled', endedAt: gateway.now(), errorCode: 'RunCancelled' });
    expect(commandOf(runId)).toMatchObject({ state: 'expired', reasonCode: 'RunCancelled' });
    expect(lastAudit()).toMatchObject({ action: 'run.cancel', subject: runId, environment: 'production' });
    const back = await host.connect();
    await back.api.settled.mutate({ openRunIds: [], openCommandIds: [] });
    expect(back.commands).toEqual([]);
    expect(await codeOf(cancel(runId))).toBe('RunNotActive');
  });

  test('a run that its host has taken on asks it to, once', async () => {
    const runId = await ask();
    const [command] = await received(1);
    await link.api.acknowledge.mutate({ commandId: command?.commandId ?? '' });
    await link.send(host.report('run', runBody(host, runId, 'running')));
    await cancel(runId);
    await cancel(runId);
    const all = await received(2);
    expect(commandSchema.parse(all[1])).toMatchObject({
      kind: 'cancel',
      databaseId: host.databaseId(),
      body: { runId },
    });
    expect(runRow(runId)).toMatchObject({ state: 'running' });
    const cancelled = host.report('run', runBody(host, runId, 'cancelled'));
    await link.send(cancelled, host.report('command', { commandId: all[1]?.commandId ?? '', state: 'done' }));
    expect(runRow(runId)).toMatchObject({ state: 'cancelled' });
    expect(link.commands).toHaveLength(2);
  });

  test('a run that its host began by itself asks it too', async () => {
    const runId = newId(1);
    await link.send(host.report('run', runBody(host, runId, 'running')));
    await cancel(runId);
    expect(await received(1)).toMatchObject([{ kind: 'cancel', body: { runId } }]);
  });

  test('a run of which nobody knows whether its host has it takes the command back, and believes the host', async () => {
    const runId = await ask();
    await received(1);
    await cancel(runId);
    const [, cancelling] = await received(2);
    expect(commandOf(runId)).toMatchObject({ state: 'expired', reasonCode: 'RunCancelled' });
    expect(runRow(runId)).toMatchObject({ state: 'expired', errorCode: 'RunCancelled' });
    await link.close();
    const back = await host.connect();
    await waitFor('the cancelling again', () => back.commands.length === 1);
    expect(back.commands).toMatchObject([{ kind: 'cancel' }]);
    await back.send(host.report('command', { commandId: cancelling?.commandId ?? '', state: 'done' }));
    expect(runRow(runId)).toMatchObject({ state: 'cancelled' });
  });

  test('a run that its host had done meanwhile leaves it done', async () => {
    const runId = await ask();
    await received(1);
    await cancel(runId);
    await link.send(host.report('run', runBody(host, runId, 'running')));
    expect(runRow(runId)).toMatchObject({ state: 'running', endedAt: null });
    const [, cancelling] = await received(2);
    await link.send(host.report('command', { commandId: cancelling?.commandId ?? '', state: 'done' }));
    await link.send(host.report('run', runBody(host, runId, 'succeeded', { backup: madeBackup(host) })));
    expect(runRow(runId)).toMatchObject({ state: 'succeeded' });
  });

  test('that the host does not allow is refused, and takes nothing back', async () => {
    const runId = await ask();
    await received(1);
    host.databases[0]?.allow.splice(host.databases[0].allow.indexOf('cancel'), 1);
    await link.hello();
    const before = rowsOf(gateway.catalog);
    expect(await codeOf(cancel(runId))).toBe('ActionNotAllowed');
    expect(rowsOf(gateway.catalog)).toEqual(before);
  });

  test('what has ended, or never was, is refused', async () => {
    const runId = newId(1);
    await link.send(host.report('run', runBody(host, runId, 'succeeded')));
    expect(await codeOf(cancel(runId))).toBe('RunNotActive');
    expect(await codeOf(cancel(newId(1)))).toBe('NotFound');
  });
});
