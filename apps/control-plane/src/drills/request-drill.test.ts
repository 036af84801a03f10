import { newId } from '@strideiq/core';
import { commandSchema, type ReportedBackup, type ReportedDrill } from '@strideiq/protocol';
import { waitFor } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { databaseOf } from '../api/database-view.ts';
import { audit, databases, runs } from '../catalog/schema.ts';
import type { DrillTarget } from '../runs/requests.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { TestHost, type TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';

let gateway: TestGateway;
let source: TestHost;
let sourceLink: TestLink;
/** Reads the stores of the other, in another environment. */
let target: TestHost;
let targetLink: TestLink;
let backup: ReportedBackup;
beforeEach(async () => {
  gateway = await startGateway();
  source = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
  sourceLink = await source.connect();
  backup = madeBackup(source);
  await sourceLink.send(source.report('run', runBody(source, newId(1), 'succeeded', { backup })));
  target = new TestHost(gateway, 'staging', 'db2').looksAfter('other').enrol();
  target.otherStoreIds = [source.storeId()];
  targetLink = await target.connect();
});
afterEach(async () => await gateway.stop());

const requester = { keyId: 'key-1' };
const drill = async (where: DrillTarget = {}, what: { backupId: string } | 'latest' = 'latest') =>
  await gateway.work.requestDrill(
    what === 'latest' ? { databaseId: source.databaseId(), latest: true } : what,
    where,
    requester,
  );
const received = async (link: TestLink) => {
  await waitFor('the command', () => link.commands.length > 0);
  return commandSchema.parse(link.commands.at(-1));
};
const codeOfRefusal = async (asked: Promise<unknown>) =>
  await asked.then(
    () => undefined,
    (error: unknown) => (error as { code: string }).code,
  );

/** What a host says that its drill has shown. */
const shown = (more: Partial<ReportedDrill> = {}): ReportedDrill => ({
  backupId: backup.backupId,
  rows: 42,
  tables: 7,
  objects: 30,
  restoreMs: 61_000,
  countsAsRto: true,
  dataAgeMs: 3_600_000,
  sampledTables: 3,
  sampledRows: 40,
  assertions: 1,
  ...more,
});

function lastDrill() {
  const row = gateway.catalog.select().from(databases).where(eq(databases.id, source.databaseId())).get();
  if (!row) throw new Error('no such database');
  const { catalog, connections, now } = gateway;
  return databaseOf({ catalog, connections, now }, row).lastDrill;
}

describe('a drill', () => {
  test('of the latest is a run on the host that looks after the database, and stands in the audit', async () => {
    const { runId } = await drill();
    expect(await received(sourceLink)).toMatchObject({
      kind: 'drill',
      runId,
      databaseId: source.databaseId(),
      body: {
        backupId: backup.backupId,
        sourceDatabaseId: source.databaseId(),
        source: { via: 'store', storeId: source.storeId(), key: backup.objectName },
        trust: { manifestSha256: backup.manifestSha256, publicKeyPem: source.key.publicPem },
      },
    });
    const run = gateway.catalog.select().from(runs).where(eq(runs.id, runId)).get();
    expect(run).toMatchObject({ kind: 'drill', agentId: source.agentId, backupId: backup.backupId });
    expect(gateway.catalog.select().from(audit).all().at(-1)).toMatchObject({
      actor: 'key-1',
      action: 'drill.request',
      environment: 'production',
      detail: { runId },
    });
  });

  test('on another host is asked there, and stands in the audit of both', async () => {
    const { runId } = await drill({ agentId: target.agentId }, { backupId: backup.backupId });
    expect(await received(targetLink)).toMatchObject({ kind: 'drill', databaseId: target.databaseId() });
    const entries = gateway.catalog.select().from(audit).all().slice(-2);
    expect(entries).toMatchObject([
      { action: 'drill.request', environment: 'staging', detail: { runId } },
      { action: 'restore.elsewhere', environment: 'production', detail: { runId } },
    ]);
  });

  test('is refused where the host does not allow it, and where there is nothing to drill', async () => {
    source.databases[0]?.allow.splice(source.databases[0].allow.indexOf('drill'), 1);
    await sourceLink.hello();
    expect(await codeOfRefusal(drill())).toBe('ActionNotAllowed');
    expect(await codeOfRefusal(drill({}, { backupId: newId(1) }))).toBe('NotFound');
    expect(sourceLink.commands).toEqual([]);
  });

  test('asked for twice by one key is one, and otherwise by it another request', async () => {
    const keyed = { ...requester, idempotencyKey: 'monday' };
    const what = { backupId: backup.backupId };
    const first = await gateway.work.requestDrill(what, {}, keyed);
    expect(await gateway.work.requestDrill(what, {}, keyed)).toEqual({ ...first, repeated: true });
    const elsewhere = gateway.work.requestDrill(what, { agentId: target.agentId }, keyed);
    expect(await codeOfRefusal(elsewhere)).toBe('IdempotencyKeyReused');
  });
});

describe('a database was last proven restorable', () => {
  const finishedAt = '2026-11-24T08:00:00.000Z';

  test('by a drill that succeeded, wherever it was', async () => {
    expect(lastDrill()).toBeNull();
    const { runId } = await drill({ agentId: target.agentId });
    const { commandId } = await received(targetLink);
    const said = { kind: 'drill', commandId, finishedAt } as const;
    await targetLink.send(target.report('run', runBody(target, runId, 'failed', { ...said, drill: shown() })));
    expect(lastDrill()).toBeNull();
    const again = await drill({ agentId: target.agentId });
    await waitFor('the second command', () => targetLink.commands.length === 2);
    const second = await received(targetLink);
    const body = runBody(target, again.runId, 'succeeded', {
      ...said,
      commandId: second.commandId,
      drill: shown({ countsAsRto: false }),
    });
    await targetLink.send(target.report('run', body));
    expect(lastDrill()).toEqual({
      runId: again.runId,
      backupId: backup.backupId,
      finishedAt,
      restoreMs: 61_000,
      countsAsRto: false,
      dataAgeMs: 3_600_000,
    });
  });

  test('by one that its own host began, and by no word of another host', async () => {
    const body = (host: TestHost) =>
      runBody(host, newId(Date.now()), 'succeeded', { kind: 'drill', finishedAt, drill: shown() });
    await targetLink.send(target.report('run', body(target)));
    expect(lastDrill()).toBeNull();
    await sourceLink.send(source.report('run', body(source)));
    expect(lastDrill()).toMatchObject({ backupId: backup.backupId, finishedAt });
  });
});
