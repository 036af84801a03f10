import { newId } from '@strideiq/core';
import { commandSchema, type ReportedBackup } from '@strideiq/protocol';
import type { Store } from '@strideiq/storage';
import { waitFor } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { audit, backups, copies, runs } from '../catalog/schema.ts';
import type { Requester, RestoreTarget } from '../runs/requests.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { bucketStore, TestHost, type TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import { rowsOf } from '../testing/tables.ts';

let gateway: TestGateway;
/** Whose bucket the control plane has credentials for. */
let ownStoreIds: string[];
/** Backs up to its disk and a bucket. */
let source: TestHost;
let sourceLink: TestLink;
/** Looks after another database, in another environment. */
let target: TestHost;
let targetLink: TestLink;
let backup: ReportedBackup;
beforeEach(async () => {
  ownStoreIds = [];
  gateway = await startGateway({
    openOwnStore: async ({ id }) =>
      await Promise.resolve(ownStoreIds.includes(id) ? ({ presign: () => '' } as unknown as Store) : undefined),
  });
  source = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
  source.databases[0]?.stores.push(bucketStore('app/'));
  sourceLink = await source.connect();
  backup = madeBackup(source);
  await sourceLink.send(source.report('run', runBody(source, newId(1), 'succeeded', { backup })));
  target = new TestHost(gateway, 'staging', 'db2').looksAfter('other').enrol();
  targetLink = await target.connect();
});
afterEach(async () => await gateway.stop());

type NewDatabase = { agentId?: string; database?: string; viaDatabaseId?: string };
const requester = { keyId: 'key-1' };
const restore = async (
  to: NewDatabase = {},
  what: { backupId: string } | { databaseId: string; latest: true } = backup,
) =>
  await gateway.work.requestRestore(
    'backupId' in what ? { backupId: what.backupId } : what,
    { agentId: source.agentId, mode: 'fresh', database: 'app_2', ...to },
    requester,
  );
const received = async (link: TestLink) => {
  await waitFor('the command', () => link.commands.length > 0);
  const command = commandSchema.parse(link.commands.at(-1));
  if (command.kind !== 'restoreFresh') throw new Error(command.kind);
  return command;
};
const refusal = async (asked: Promise<unknown>) =>
  await asked.then(
    () => undefined,
    (error: unknown) => error as { code: string; message: string; cure: string },
  );
const setCopy = (storeId: string, state: 'stored' | 'verified' | 'corrupt' | 'deleted') =>
  gateway.catalog.update(copies).set({ state }).where(eq(copies.storeId, storeId)).run();

describe('a restore', () => {
  test('is a run on the target, and names what to trust', async () => {
    const { runId } = await restore();
    const command = await received(sourceLink);
    expect(command).toMatchObject({
      runId,
      databaseId: source.databaseId(),
      body: {
        backupId: backup.backupId,
        sourceDatabaseId: source.databaseId(),
        source: { via: 'store', storeId: source.storeId(), key: backup.objectName },
        into: 'app_2',
        trust: { manifestSha256: backup.manifestSha256, publicKeyPem: source.key.publicPem },
      },
    });
    const run = gateway.catalog.select().from(runs).where(eq(runs.id, runId)).get();
    expect(run).toMatchObject({
      kind: 'restore',
      agentId: source.agentId,
      databaseId: source.databaseId(),
      requestedBy: 'key-1',
      backupId: backup.backupId,
      request: { backupId: backup.backupId, into: 'app_2', mode: 'fresh', via: 'store', storeId: source.storeId() },
    });
    expect(gateway.catalog.select().from(audit).all().at(-1)).toMatchObject({
      actor: 'key-1',
      action: 'restore.request',
      environment: 'production',
      subject: backup.backupId,
      detail: { runId, agentId: source.agentId, into: 'app_2' },
    });
  });

  test('asked for twice by one key is one', async () => {
    const to = { agentId: source.agentId, mode: 'fresh', database: 'app_2' } as const;
    const keyed = { ...requester, idempotencyKey: 'once' };
    const { backupId } = backup;
    const first = await gateway.work.requestRestore({ backupId }, to, keyed);
    gateway.catalog.delete(copies).run();
    gateway.catalog.delete(backups).run();
    expect(await gateway.work.requestRestore({ backupId }, to, keyed)).toEqual({ ...first, repeated: true });
    const other = { ...to, database: 'app_3' };
    expect(await refusal(gateway.work.requestRestore({ backupId }, other, keyed))).toMatchObject({
      code: 'IdempotencyKeyReused',
    });
    await received(sourceLink);
    expect(sourceLink.commands).toHaveLength(1);
  });

  test('into another environment is in the audit of both', async () => {
    target.otherStoreIds = [source.storeId(1)];
    await targetLink.hello();
    const { runId } = await restore({ agentId: target.agentId });
    const entries = gateway.catalog.select().from(audit).all().slice(-2);
    expect(entries).toMatchObject([
      { action: 'restore.request', environment: 'staging', subject: backup.backupId, detail: { runId } },
      {
        action: 'restore.elsewhere',
        environment: 'production',
        subject: backup.backupId,
        detail: { runId, databaseId: source.databaseId(), into: { environment: 'staging', agentId: target.agentId } },
      },
    ]);
    expect(await received(targetLink)).toMatchObject({ databaseId: target.databaseId() });
  });

  test.each(['', 'x'.repeat(64), 'ä'.repeat(32), 'a\nb', 'a\u0000'])('into %j is refused', async (database) => {
    expect(await refusal(restore({ database }))).toMatchObject({ code: 'InputInvalid' });
  });

  test('of a backup that has failed, goes on or never was is refused', async () => {
    gateway.catalog.update(backups).set({ state: 'failed' }).run();
    expect(await refusal(restore())).toMatchObject({ code: 'BackupNotRestorable' });
    gateway.catalog.update(backups).set({ state: 'running' }).run();
    expect(await refusal(restore())).toMatchObject({ code: 'BackupNotRestorable' });
    expect(await refusal(restore({}, { backupId: newId(1) }))).toMatchObject({ code: 'NotFound' });
    expect(await refusal(restore({ agentId: newId(1) }, backup))).toMatchObject({ code: 'BackupNotRestorable' });
  });

  test('that is refused makes nothing', async () => {
    const before = rowsOf(gateway.catalog);
    expect(await refusal(restore({ agentId: target.agentId, viaDatabaseId: newId(1) }))).toBeDefined();
    expect(await refusal(restore({ agentId: newId(1) }))).toMatchObject({ code: 'NotFound' });
    source.databases[0]?.allow.splice(2, 1);
    expect(rowsOf(gateway.catalog)).toEqual(before);
  });
});

describe('in place', () => {
  const replace = async (to: Partial<Extract<RestoreTarget, { mode: 'inPlace' }>> = {}, by: Partial<Requester> = {}) =>
    await gateway.work.requestRestore(
      { backupId: backup.backupId },
      { agentId: source.agentId, mode: 'inPlace', database: 'app', confirm: 'app', ...to },
      { ...requester, ...by },
    );
  const allowed = async () => {
    source.databases[0]?.allow.push('restoreInPlace');
    await sourceLink.hello();
  };

  test('is for the host to allow by name', async () => {
    const error = await refusal(replace());
    expect(error?.code).toBe('ActionNotAllowed');
    expect(error?.cure).toContain('restoreInPlace');
  });

  test('asks the agent that looks after the database, with its name, and stands in the audit', async () => {
    await allowed();
    const { runId } = await replace({ withoutSafetyBackup: true });
    await waitFor('the command', () => sourceLink.commands.length > 0);
    const command = commandSchema.parse(sourceLink.commands.at(-1));
    expect(command).toMatchObject({
      kind: 'restoreInPlace',
      runId,
      databaseId: source.databaseId(),
      body: { backupId: backup.backupId, confirm: 'app', withoutSafetyBackup: true },
    });
    const asked = gateway.catalog.select().from(audit).where(eq(audit.action, 'restore.request')).get();
    expect(asked?.detail).toMatchObject({ mode: 'inPlace', into: 'app', withoutSafetyBackup: true });
  });

  test.each([
    [{ confirm: undefined }, 'not confirmed'],
    [{ confirm: 'App' }, 'confirmed by "App"'],
    [{ database: 'other', confirm: 'other' }, 'no database "other"'],
  ])('with %j is refused', async (to, why) => {
    await allowed();
    const error = await refusal(replace(to));
    expect(error?.code).toBe('InputInvalid');
    expect(error?.message).toContain(why);
  });

  test('asked again otherwise by the same key is another request', async () => {
    await allowed();
    const by = { idempotencyKey: 'monday' };
    const first = await replace({}, by);
    expect(await replace({}, by)).toEqual({ runId: first.runId, repeated: true });
    expect(await refusal(replace({ withoutSafetyBackup: true }, by))).toMatchObject({ code: 'IdempotencyKeyReused' });
  });
});

test('some tables: the command names them', async () => {
  const target = { agentId: source.agentId, mode: 'tables', database: 'app_2', tables: ['b.c', 'a.b'] } as const;
  await gateway.work.requestRestore(
    { backupId: backup.backupId },
    { ...target, tables: [...target.tables] },
    requester,
  );
  await waitFor('the command', () => sourceLink.commands.length > 0);
  expect(commandSchema.parse(sourceLink.commands.at(-1))).toMatchObject({
    kind: 'restoreTables',
    body: { into: 'app_2', tables: ['b.c', 'a.b'] },
  });
});

describe('the copy', () => {
  const chosen = async (link: TestLink, to: NewDatabase = {}) => {
    await restore(to);
    return (await received(link)).body.source;
  };

  test('that was read back comes before one that is nearer', async () => {
    setCopy(source.storeId(1), 'verified');
    expect(await chosen(sourceLink)).toMatchObject({ via: 'store', storeId: source.storeId(1) });
  });

  test('on the disk comes first of those that are alike, and one that is bad never', async () => {
    setCopy(source.storeId(0), 'verified');
    setCopy(source.storeId(1), 'verified');
    expect(await chosen(sourceLink)).toMatchObject({ storeId: source.storeId(0) });
    setCopy(source.storeId(0), 'corrupt');
    await restore();
    await waitFor('the second command', () => sourceLink.commands.length === 2);
    expect((await received(sourceLink)).body.source).toMatchObject({ storeId: source.storeId(1) });
  });

  test('is read by a store that the target names, though its own databases do not back up to it', async () => {
    target.otherStoreIds = [source.storeId(1)];
    await targetLink.hello();
    expect(await chosen(targetLink, { agentId: target.agentId })).toEqual({
      via: 'store',
      storeId: source.storeId(1),
      key: backup.objectName,
    });
  });

  test('comes by URL where the source agent can give one', async () => {
    expect(await chosen(targetLink, { agentId: target.agentId })).toEqual({ via: 'url', key: backup.objectName });
  });

  test('comes by URL where the control plane has credentials, whatever the source agent says', async () => {
    ownStoreIds = [source.storeId(1)];
    await sourceLink.close();
    await waitFor('the source to be gone', () => !gateway.connections.isConnected(source.agentId));
    expect(await chosen(targetLink, { agentId: target.agentId })).toMatchObject({ via: 'url' });
  });

  test('comes by a store rather than by URL, though another was read back', async () => {
    target.otherStoreIds = [source.storeId(1)];
    await targetLink.hello();
    setCopy(source.storeId(0), 'verified');
    expect(await chosen(targetLink, { agentId: target.agentId })).toMatchObject({ via: 'store' });
  });

  const unreachable = async () => await refusal(restore({ agentId: target.agentId }));

  test('out of reach is told of, each with the reason', async () => {
    await sourceLink.close();
    await waitFor('the source to be gone', () => !gateway.connections.isConnected(source.agentId));
    const error = await unreachable();
    expect(error?.code).toBe('CopyUnreachable');
    expect(error?.message).toContain(`/backups/app${backup.objectName} (it is on the disk of its host alone)`);
    expect(error?.message).toContain(
      `s3://backups/app/${backup.objectName} (the control plane has no credentials for it, and the agent on its host db1 is not connected)`,
    );
  });

  test('is out of reach where the source does not allow presign, or does not know it, or it is bad', async () => {
    source.databases[0]?.allow.splice(source.databases[0].allow.indexOf('presign'), 1);
    await sourceLink.hello();
    expect((await unreachable())?.message).toContain('db1 does not allow presign on app');
    source.databases[0]?.allow.push('presign');
    await sourceLink.hello({ commandKinds: ['backup'] });
    expect((await unreachable())?.message).toContain('db1 does not know presign');
    await sourceLink.hello();
    setCopy(source.storeId(1), 'corrupt');
    expect((await unreachable())?.message).toContain('(it is corrupt)');
    gateway.catalog.delete(copies).run();
    expect((await unreachable())?.message).toContain('There is none.');
  });

  test('whose key is no dump of that database is never read by anybody’s rights', async () => {
    gateway.catalog.update(copies).set({ key: 'payroll_20261124_075901.sql.gz' }).run();
    ownStoreIds = [source.storeId(1)];
    expect(await unreachable()).toMatchObject({ code: 'CopyUnreachable' });
    gateway.catalog.update(copies).set({ key: 'strideiq-owner.json' }).run();
    expect(await unreachable()).toMatchObject({ code: 'CopyUnreachable' });
  });
});

describe('the server', () => {
  test('is that of the only database of the target', async () => {
    target.otherStoreIds = [source.storeId(1)];
    await targetLink.hello();
    await restore({ agentId: target.agentId });
    expect(await received(targetLink)).toMatchObject({ databaseId: target.databaseId() });
  });

  test('is the source’s own where the target looks after it, and else has to be named', async () => {
    source.looksAfter('second');
    await sourceLink.hello();
    await restore();
    expect(await received(sourceLink)).toMatchObject({ databaseId: source.databaseId('app') });
    target.looksAfter('more');
    target.otherStoreIds = [source.storeId(1)];
    await targetLink.hello();
    const error = await refusal(restore({ agentId: target.agentId }));
    expect(error?.code).toBe('TargetAmbiguous');
    expect(error?.message).toContain(`more (${target.databaseId('more')}), other (${target.databaseId('other')})`);
    await restore({ agentId: target.agentId, viaDatabaseId: target.databaseId('more') });
    expect(await received(targetLink)).toMatchObject({ databaseId: target.databaseId('more') });
  });

  test('is never another agent’s, and there has to be one', async () => {
    const foreign = await refusal(restore({ viaDatabaseId: target.databaseId() }));
    expect(foreign).toMatchObject({ code: 'InputInvalid' });
    await targetLink.hello({ databases: [], reachableStoreIds: [source.storeId(1)] });
    expect(await refusal(restore({ agentId: target.agentId }))).toMatchObject({ code: 'ActionNotAllowed' });
  });
});

describe('the latest', () => {
  const latest = async () => {
    await restore({}, { databaseId: source.databaseId(), latest: true });
    const command = await waitFor('the command', () => sourceLink.commands.shift());
    return (command.body as { backupId: string }).backupId;
  };
  const make = async (snapshotAt: string | null, finishedAt = '2026-11-24T08:00:00.000Z') => {
    const made = madeBackup(source, { backupId: newId(1), objectName: `x${newId(1)}`, snapshotAt });
    const report = source.report('run', runBody(source, newId(1), 'succeeded', { backup: made }));
    await sourceLink.send({ ...report, at: finishedAt });
    return made.backupId;
  };

  test('is the newest by the moment of its data, and never one of the future', async () => {
    const newest = await make('2026-11-24T07:59:30.000Z');
    await make('2026-11-23T00:00:00.000Z');
    await make('2026-11-24T09:00:00.000Z');
    await make('2026-11-24T08:01:00.001Z');
    expect(await latest()).toBe(newest);
    const justAhead = await make('2026-11-24T08:01:00.000Z');
    expect(await latest()).toBe(justAhead);
  });

  test('is by its end where the moment is not known', async () => {
    const unknown = await make(null, '2026-11-24T07:59:59.000Z');
    expect(await latest()).toBe(unknown);
  });

  test('is one that has succeeded, and of which a good copy is known', async () => {
    const newer = await make('2026-11-24T07:59:30.000Z');
    gateway.catalog.update(copies).set({ state: 'corrupt' }).where(eq(copies.backupId, newer)).run();
    expect(await latest()).toBe(backup.backupId);
    gateway.catalog.update(backups).set({ state: 'failed' }).run();
    const none = restore({}, { databaseId: source.databaseId(), latest: true });
    expect(await refusal(none)).toMatchObject({ code: 'BackupNotRestorable' });
    expect(await refusal(restore({}, { databaseId: newId(1), latest: true }))).toMatchObject({ code: 'NotFound' });
  });
});
