import { databaseIdOf, newId } from '@strideiq/core';
import { refusalOf, type Report } from '@strideiq/protocol';
import { propertyRuns, waitFor } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { commands, runs } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { bucketStore, TestHost, type TestLink } from '../testing/host.ts';
import { rowsOfOthers } from '../testing/owned-rows.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import { rowsOf } from '../testing/tables.ts';

/**
 * A host that fell: it has a real credential, and knows every id of others. It may harm what is its own; every row of the
 * others is the same afterwards, and they go on as before.
 */

let gateway: TestGateway;
let victim: TestHost;
let victimLink: TestLink;
let evil: TestHost;
let evilLink: TestLink;
/** What the victim has, by what it is. */
let theirs: { runId: string; goingRunId: string; backupId: string; commandId: string; waitingId: string; key: string };
let ours: { runId: string; backupId: string; commandId: string };

beforeEach(async () => {
  gateway = await startGateway();
  victim = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
  victim.databases[0]?.stores.push(bucketStore('app/'));
  victimLink = await victim.connect();
  const backup = madeBackup(victim);
  const [runId, goingRunId] = [newId(gateway.now()), newId(gateway.now())];
  await victimLink.send(
    victim.report('run', runBody(victim, runId, 'succeeded', { backup })),
    victim.report('log', { runId, lines: [{ at: '2026-11-24T08:00:00.000Z', level: 'info', text: 'theirs' }] }),
    victim.report('run', runBody(victim, goingRunId, 'running')),
  );
  evil = new TestHost(gateway, 'staging', 'db9').looksAfter('app').enrol();
  evil.databases[0]?.stores.push(bucketStore('evil/'));
  evilLink = await evil.connect();
  ours = { runId: newId(gateway.now()), backupId: newId(gateway.now()), commandId: await ask(evil, evilLink) };
  const commandId = await ask(victim, victimLink);
  await victimLink.api.acknowledge.mutate({ commandId });
  theirs = {
    runId,
    goingRunId,
    backupId: backup.backupId,
    commandId,
    waitingId: await ask(victim, victimLink),
    key: backup.objectName,
  };
});
afterEach(async () => await gateway.stop());

async function ask(host: TestHost, link: TestLink): Promise<string> {
  const before = link.commands.length;
  const { runId } = await gateway.work.requestBackup({ databaseId: host.databaseId() }, { keyId: 'key-1' });
  await waitFor('the command', () => link.commands.length > before);
  return gateway.catalog.select().from(commands).where(eq(commands.runId, runId)).get()?.id ?? '';
}

const othersRows = () => rowsOfOthers(rowsOf(gateway.catalog), [evil.agentId]);
const codesOf = async (...reports: Report[]) =>
  (await evilLink.send(...reports)).answers.map(({ answer, code }) => code ?? answer);
const refused = async (asked: Promise<unknown>) =>
  await asked.then(
    () => undefined,
    (error: unknown) => refusalOf(error)?.code ?? String(error),
  );

test('reports about others are rejected one by one, and change nothing', async () => {
  const before = othersRows();
  const [store, bucket] = victim.databases[0]?.stores ?? [];
  const foreignCopy = { storeId: bucket?.storeId ?? '', key: theirs.key, state: 'stored' as const };
  const own = madeBackup(evil, { backupId: ours.backupId });
  const found = {
    databaseId: evil.databaseId(),
    backupId: ours.backupId,
    storeId: evil.storeId(),
    key: own.objectName,
  };
  const says = (state: Parameters<typeof runBody>[2], more: Partial<ReturnType<typeof runBody>>, runId = newId(1)) =>
    evil.report('run', runBody(evil, runId, state, more));
  const theirDatabase = victim.databaseId();
  expect(
    await codesOf(
      says('succeeded', { databaseId: theirDatabase }),
      says('failed', { databaseId: theirDatabase }, theirs.goingRunId),
      says('failed', {}, theirs.goingRunId),
      says('running', {}, theirs.runId),
      says('running', { commandId: theirs.commandId }),
      says('running', { commandId: theirs.waitingId }),
      says('succeeded', { backup: { ...own, backupId: theirs.backupId } }),
      evil.report('log', {
        runId: theirs.goingRunId,
        lines: [{ at: '2026-11-24T08:00:00.000Z', level: 'error', text: 'x' }],
      }),
      evil.report('copy', {
        ...found,
        databaseId: theirDatabase,
        backupId: theirs.backupId,
        storeId: store?.storeId ?? '',
        state: 'missing',
      }),
      evil.report('copy', { ...found, backupId: theirs.backupId, state: 'corrupt' }),
      evil.report('copy', { ...found, storeId: bucket?.storeId ?? '', state: 'corrupt' }),
      evil.report('command', { commandId: theirs.commandId, state: 'done' }),
      evil.report('command', { commandId: theirs.waitingId, state: 'refused', reason: { code: 'X', text: 'x' } }),
    ),
  ).toEqual(Array.from({ length: 13 }, () => 'NotOwner'));
  expect(await codesOf(says('succeeded', { backup: { ...own, copies: [...own.copies, foreignCopy] } }))).toEqual([
    'accepted',
  ]);
  expect(rowsOf(gateway.catalog)['copies']?.filter((row) => row['backup_id'] === own.backupId)).toHaveLength(
    own.copies.length,
  );
  expect(othersRows()).toEqual(before);
});

test('once it has a backup of its own, findings for the victim’s stores and runs are rejected too', async () => {
  const own = madeBackup(evil, { backupId: ours.backupId });
  await evilLink.send(evil.report('run', runBody(evil, ours.runId, 'succeeded', { backup: own })));
  const before = othersRows();
  const found = {
    databaseId: evil.databaseId(),
    backupId: ours.backupId,
    storeId: evil.storeId(),
    key: own.objectName,
  };
  expect(
    await codesOf(
      evil.report('copy', { ...found, storeId: victim.storeId(), state: 'missing' }),
      evil.report('copy', { ...found, runId: theirs.runId, state: 'missing' }),
      evil.report('copy', { ...found, state: 'verified' }),
    ),
  ).toEqual(['NotOwner', 'NotOwner', 'accepted']);
  expect(othersRows()).toEqual(before);
});

test('calls about others are refused or ignored, and nothing is told', async () => {
  const before = othersRows();
  for (const id of [theirs.commandId, theirs.waitingId]) {
    expect(await refused(evilLink.api.acknowledge.mutate({ commandId: id }))).toBe('CommandUnknown');
    expect(await refused(evilLink.api.sourceUrls.mutate({ commandId: id }))).toBe('CommandUnknown');
    await evilLink.api.presigned.mutate({ commandId: id, urls: ['https://evil.example.com/'] });
  }
  const progress = { runId: theirs.goingRunId, phase: 'done', fraction: 1 };
  await evilLink.api.progress.mutate({ runs: [progress] });
  expect(gateway.liveRuns.progressOf(theirs.goingRunId)).toBeUndefined();
  await evilLink.api.settled.mutate({ openRunIds: [], openCommandIds: [] });
  await evilLink.api.settled.mutate({ openRunIds: [theirs.goingRunId], openCommandIds: [theirs.commandId] });
  const facts = { databaseId: victim.databaseId(), reachable: false, error: 'dead' };
  const sentAt = new Date(gateway.now()).toISOString();
  const stores = [{ storeId: victim.storeId(), freeBytes: 0 }];
  await evilLink.api.heartbeat.mutate({ sentAt, databases: [facts], stores });
  expect(gateway.connections.stateOf(victim.agentId)?.heartbeat).toBeUndefined();
  expect(othersRows()).toEqual(before);
  expect(evilLink.commands.map(({ commandId }) => commandId)).toEqual([ours.commandId]);
});

test('a hello that declares what others have is told so, and changes nothing of it', async () => {
  const before = othersRows();
  const stores = victim.databases[0]?.stores ?? [];
  const disguised = stores.map((store) => ({ ...store, name: 'mine', location: 'nowhere' }));
  const { refusedDatabases } = await evilLink.hello({
    hostname: 'db1',
    journalId: victim.journalId,
    lastSeq: 1000,
    databases: [{ name: 'app', allow: [], policy: {}, stores: disguised }],
    reachableStoreIds: stores.map(({ storeId }) => storeId),
  });
  expect(refusedDatabases.map(({ code }) => code)).toEqual(['StoreOwnedElsewhere', 'StoreOwnedElsewhere']);
  expect(evilLink.welcome?.highWater).toBe(0);
  expect(othersRows()).toEqual(before);
});

test('one of the same environment gets at no database that another looks after', async () => {
  const neighbour = new TestHost(gateway, 'production', 'db2').looksAfter('app').enrol();
  const before = rowsOfOthers(rowsOf(gateway.catalog), [neighbour.agentId]);
  const link = await neighbour.connect();
  expect(link.welcome?.refusedDatabases.map(({ code }) => code)).toEqual(['DatabaseOwnedElsewhere']);
  expect(neighbour.databaseId()).toBe(victim.databaseId());
  const answer = await link.send(neighbour.report('run', runBody(neighbour, newId(1), 'succeeded')));
  expect(answer.answers).toMatchObject([{ code: 'NotOwner' }]);
  expect(rowsOfOthers(rowsOf(gateway.catalog), [neighbour.agentId])).toEqual(before);
  expect(link.commands).toEqual([]);
});

test('ids that it used first are still good for those whose they are', async () => {
  const report = victim.report('run', runBody(victim, theirs.goingRunId, 'succeeded'));
  const stolen = { ...report, body: runBody(evil, newId(1), 'running') };
  await evilLink.api.report.mutate({ journalId: victim.journalId, reports: [{ ...stolen, seq: 5000 }] });
  expect(await victimLink.send(report)).toMatchObject({ answers: [{ answer: 'accepted' }], highWater: report.seq });
  expect(gateway.catalog.select().from(runs).where(eq(runs.id, theirs.goingRunId)).get()).toMatchObject({
    state: 'succeeded',
  });
});

test('two connections at once, cut and too large messages, unknown kinds and odd orders harm itself alone', async () => {
  const before = othersRows();
  const lines = Array.from({ length: 100 }, () => ({
    at: '2026-11-24T08:00:00.000Z',
    level: 'info' as const,
    text: 'x'.repeat(8000),
  }));
  const large = [evil.report('log', { runId: newId(1), lines }), evil.report('log', { runId: newId(1), lines })];
  await expect(evilLink.send(...large)).rejects.toMatchObject({ name: 'TRPCClientError' });
  await evilLink.closed;
  const first = await evil.connect();
  const second = await evil.connect();
  await first.closed;
  const unknown = { ...evil.report('log', { runId: theirs.runId, lines: [] }), kind: 'DROP TABLE runs' };
  const back = { ...evil.report('run', runBody(evil, ours.runId, 'succeeded')), seq: 1 };
  const far = { ...evil.report('run', runBody(evil, ours.runId, 'running')), seq: 2 ** 50 };
  expect((await second.send(far, back, unknown, far)).answers.map(({ answer }) => answer)).toEqual([
    'accepted',
    'accepted',
    'accepted',
    'duplicate',
  ]);
  expect(othersRows()).toEqual(before);
  expect(victimLink.isClosed).toBe(false);
});

describe('whatever it makes up', () => {
  test('no row of others changes, and they go on', async () => {
    const before = othersRows();
    const stores = [...(victim.databases[0]?.stores ?? []), ...(evil.databases[0]?.stores ?? [])];
    const id = fc.constantFrom(
      ...Object.values(theirs).filter((text) => text !== theirs.key),
      ...Object.values(ours),
      ...stores.map(({ storeId }) => storeId),
      victim.databaseId(),
      evil.databaseId(),
      databaseIdOf('production', 'other'),
      victim.agentId,
      newId(7),
    );
    const state = fc.constantFrom(
      'running',
      'cancelling',
      'succeeded',
      'failed',
      'cancelled',
      'lost',
      'verified',
      'corrupt',
      'missing',
      'done',
      'refused',
      'expired',
      'stored',
      'odd',
    );
    const copy = fc.record(
      { storeId: id, key: fc.constantFrom(theirs.key, 'x'), state },
      { requiredKeys: ['storeId', 'key'] },
    );
    const backup = fc
      .record({ backupId: id, copies: fc.array(copy, { maxLength: 3 }) })
      .map((more) => ({ ...madeBackup(evil), ...more }));
    const lines = fc.array(
      fc.record({
        at: fc.constant('2026-11-24T08:00:00.000Z'),
        level: fc.constantFrom('info', 'odd'),
        text: fc.string(),
      }),
      { maxLength: 3 },
    );
    const body = fc.record(
      {
        runId: id,
        databaseId: id,
        backupId: id,
        storeId: id,
        commandId: id,
        key: fc.constantFrom(theirs.key, '../x'),
        kind: fc.constantFrom('backup', 'restore', 'verify'),
        state,
        startedAt: fc.constant('2026-11-24T07:59:00.000Z'),
        backup,
        lines,
      },
      { requiredKeys: ['databaseId', 'runId', 'state', 'startedAt', 'kind'] },
    );
    const kind = fc.constantFrom('run', 'log', 'copy', 'command', '__proto__', 'constructor', 'later');
    const batch = fc.array(fc.tuple(kind, body, fc.integer({ min: 1, max: 100 })), { minLength: 1, maxLength: 15 });
    await fc.assert(
      fc.asyncProperty(batch, async (made) => {
        const reports = made.map(([kind, body, seq]) => ({
          ...evil.report('log', { runId: theirs.runId, lines: [] }),
          kind,
          body: body as unknown as Record<string, unknown>,
          seq,
        }));
        await evilLink.send(...reports);
        expect(othersRows()).toEqual(before);
      }),
      { numRuns: propertyRuns(60) },
    );
    // Some of it was taken, or nothing would have been tried.
    expect(
      rowsOf(gateway.catalog)['reports']?.some((row) => row['answer'] === 'accepted' && row['kind'] === 'run'),
    ).toBe(true);
    const going = victim.report('run', runBody(victim, theirs.goingRunId, 'succeeded'));
    expect((await victimLink.send(going)).answers).toMatchObject([{ answer: 'accepted' }]);
  });
});
