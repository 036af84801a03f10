import { backupNames, newId } from '@strideiq/core';
import { commandSchema, refusalOf, type Presigned } from '@strideiq/protocol';
import { once, openS3Store, type Store } from '@strideiq/storage';
import { startS3, waitFor, type S3Server } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { audit, backups, commands, runs } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { bucketStore, TestHost, type TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import { rowsOf } from '../testing/tables.ts';
import { PresignRequests } from './presign-requests.ts';
import { SourceUrls } from './source-urls.ts';

let server: S3Server;
beforeAll(async () => {
  server = await startS3();
  await server.createBucket('backups');
});
afterAll(async () => await server.stop());

let gateway: TestGateway;
let own: Store | undefined;
let source: TestHost;
let sourceLink: TestLink;
let target: TestHost;
let targetLink: TestLink;
let commandId: string;
let runId: string;
const names = backupNames('app', new Date('2026-11-24T07:59:01Z'));

beforeEach(async () => {
  own = undefined;
  gateway = await startGateway({ openOwnStore: async () => await Promise.resolve(own) });
  const store = bucketStore('app/', 'backups', server.endpoint);
  source = new TestHost(gateway, 'production', 'db1').looksAfter('app', { stores: [store] }).enrol();
  sourceLink = await source.connect();
  const backup = madeBackup(source);
  await sourceLink.send(source.report('run', runBody(source, newId(1), 'succeeded', { backup })));
  target = new TestHost(gateway, 'staging', 'db2').looksAfter('other').enrol();
  targetLink = await target.connect();
  const what = { backupId: backup.backupId };
  const to = { agentId: target.agentId, mode: 'fresh', database: 'app_2' } as const;
  runId = (await gateway.work.requestRestore(what, to, { keyId: 'key-1' })).runId;
  commandId = (await waitFor('the restore', () => targetLink.commands[0])).commandId;
});
afterEach(async () => {
  own?.close();
  await gateway.stop();
});

const ask = async (link = targetLink, id = commandId) => await link.api.sourceUrls.mutate({ commandId: id });
const refused = async (asked: Promise<unknown>) =>
  await asked.then(
    () => undefined,
    (error: unknown) => refusalOf(error),
  );
const presignCommand = async (at = 0) => {
  const command = commandSchema.parse(await waitFor('the command', () => sourceLink.commands[at]));
  if (command.kind !== 'presign') throw new Error(command.kind);
  return command;
};
const answer = async (presigned: Presigned, link = sourceLink) => await link.api.presigned.mutate(presigned);
const urls = ['https://s3.example.com/dump?secret=1', 'https://s3.example.com/manifest', 'https://s3.example.com/p'];
const downloads = () => gateway.catalog.select().from(audit).where(eq(audit.action, 'copy.download')).all();

describe('by the control plane’s own rights', () => {
  beforeEach(async () => {
    const credentials = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey };
    own = await openS3Store({ bucket: 'backups', prefix: 'app/', endpoint: server.endpoint, credentials });
    await own.put(names.dump, once(Buffer.from('the dump')), { replace: true });
    await ownedBy(source.databaseId());
  });

  const ownedBy = async (databaseId: string) => {
    const owner = { formatVersion: 1, storeId: source.storeId(), environment: 'qa', database: 'app', databaseId };
    await own?.put('strideiq-owner.json', once(Buffer.from(JSON.stringify(owner))), { replace: true });
  };

  test('URLs lead to the bucket, and stand in no table and no log', async () => {
    const given = await ask();
    expect(await (await fetch(given.dump, { headers: { range: 'bytes=4-7' } })).text()).toBe('dump');
    expect(new URL(given.manifest).pathname).toBe(`/backups/app/${names.manifest}`);
    expect(new URL(given.privileges ?? '').pathname).toBe(`/backups/app/${names.privileges}`);
    expect(given.expiresAt).toBe(new Date(gateway.now() + 3_600_000).toISOString());
    const everything = JSON.stringify([rowsOf(gateway.catalog), gateway.said]);
    expect(everything).not.toContain('X-Amz-Signature');
    expect(downloads()).toMatchObject([
      {
        actor: `agent:${target.agentId}`,
        environment: 'production',
        detail: { runId, commandId, storeId: source.storeId(), by: 'control-plane' },
      },
    ]);
    expect(sourceLink.commands).toEqual([]);
  });

  test('they are not used for a prefix that says it is another database’s, whatever its host declares', async () => {
    await ownedBy(newId(1));
    const asked = refused(ask());
    await answer({ commandId: (await presignCommand()).commandId, error: { code: 'AccessDenied', text: 'no right' } });
    expect(await asked).toMatchObject({
      code: 'CopyUnreachable',
      message: expect.stringMatching(/credentials are not used for app.* that of app of environment qa.*no right/su),
    });
    expect(downloads()).toEqual([]);
  });

  test('where they fail, the source agent is asked', async () => {
    await own?.delete('strideiq-owner.json');
    const asked = ask();
    await answer({ commandId: (await presignCommand()).commandId, urls });
    expect(await asked).toMatchObject({ dump: urls[0] });
    expect(downloads()).toMatchObject([{ detail: { by: `agent:${source.agentId}` } }]);
  });

  test('without owners and grants there is no URL for them', async () => {
    gateway.catalog.update(backups).set({ hasPrivileges: false }).run();
    expect(await ask()).toMatchObject({ privileges: null });
  });

  test('they are given anew as long as the run lives', async () => {
    const first = await ask();
    await targetLink.send(target.report('run', runBody(target, runId, 'running', { kind: 'restore' })));
    expect(await ask()).toEqual(first);
    expect(downloads()).toHaveLength(1);
    gateway.clock.now += 60_000;
    expect((await ask()).expiresAt).not.toBe(first.expiresAt);
    expect(downloads()).toHaveLength(2);
    await targetLink.send(target.report('run', runBody(target, runId, 'failed', { kind: 'restore' })));
    expect(await refused(ask())).toMatchObject({ code: 'RunNotActive' });
    expect(downloads()).toHaveLength(2);
  });

  test('nobody gets them for the restore of another, nor for anything else', async () => {
    const { runId: other } = await gateway.work.requestBackup({ databaseId: source.databaseId() }, { keyId: 'key-1' });
    const backupCommand = gateway.catalog.select().from(commands).where(eq(commands.runId, other)).get();
    expect(await refused(ask(sourceLink))).toMatchObject({ code: 'CommandUnknown' });
    expect(await refused(ask(sourceLink, backupCommand?.id))).toMatchObject({ code: 'CommandUnknown' });
    expect(await refused(ask(targetLink, newId(1)))).toMatchObject({ code: 'CommandUnknown' });
    expect(downloads()).toEqual([]);
  });
});

describe('by the source agent', () => {
  test('URLs pass through memory alone', async () => {
    const asked = ask();
    const command = await presignCommand();
    expect(command).toMatchObject({
      databaseId: source.databaseId(),
      body: { storeId: source.storeId(), keys: [names.dump, names.manifest, names.privileges], expiresInSeconds: 3600 },
    });
    expect(Date.parse(command.expiresAt) - Date.parse(command.issuedAt)).toBe(5 * 60_000);
    await answer({ commandId: command.commandId, urls });
    expect(await asked).toMatchObject({ dump: urls[0], manifest: urls[1], privileges: urls[2] });
    expect(JSON.stringify([rowsOf(gateway.catalog), gateway.said])).not.toContain('s3.example.com');
    expect(downloads()).toMatchObject([{ detail: { by: `agent:${source.agentId}` } }]);
    const row = () => gateway.catalog.select().from(commands).where(eq(commands.id, command.commandId)).get();
    expect(row()).toMatchObject({ state: 'done' });
    const later = source.report('command', { commandId: command.commandId, state: 'done' });
    expect((await sourceLink.send(later)).answers).toMatchObject([{ answer: 'accepted' }]);
    expect(row()).toMatchObject({ state: 'done' });
  });

  test('asking again while they are on their way makes no second command', async () => {
    const asked = [ask(), ask(), ask()];
    const { commandId } = await presignCommand();
    await answer({ commandId, urls });
    const given = await Promise.all(asked);
    expect(new Set(given.map(({ dump }) => dump))).toEqual(new Set([urls[0]]));
    expect(sourceLink.commands).toHaveLength(1);
  });

  test('asking without end is refused while the first are under way', async () => {
    const codes: (string | undefined)[] = [];
    const asking = (count: number) =>
      Array.from({ length: count }, async () => codes.push((await refused(ask()))?.code));
    const first = asking(40);
    const { commandId } = await presignCommand();
    const more = asking(40);
    await waitFor('the refusals', () => codes.length >= 30);
    await answer({ commandId, urls });
    await Promise.all([...first, ...more]);
    expect(codes.filter((code) => code === 'RateLimited')).toHaveLength(30);
    expect(codes.filter((code) => code === undefined)).toHaveLength(50);
  });

  test('another agent cannot answer in its place', async () => {
    const asked = ask();
    const { commandId } = await presignCommand();
    await answer({ commandId, urls: urls.map(() => 'https://evil.example.com/') }, targetLink);
    await answer({ commandId, urls });
    expect(await asked).toMatchObject({ dump: urls[0] });
    await answer({ commandId, urls: urls.map(() => 'https://late.example.com/') });
  });

  test.each([
    ['too few', { urls: ['https://s3.example.com/'] }],
    ['what is no address of the web', { urls: ['file:///etc/passwd', ...urls.slice(1)] }],
    ['nothing', {}],
    ['an error', { error: { code: 'AccessDenied', text: 'no right' } }],
  ])('an answer with %s is none', async (_, more) => {
    const asked = refused(ask());
    const { commandId } = await presignCommand();
    await answer({ commandId, ...more });
    expect(await asked).toMatchObject({ code: 'CopyUnreachable' });
    expect(gateway.catalog.select().from(commands).where(eq(commands.id, commandId)).get()).toMatchObject({
      state: 'refused',
    });
    expect(downloads()).toEqual([]);
  });

  test('that does not answer in time is waited for no longer, and not asked again later', async () => {
    const presigns = new PresignRequests({ ...gateway, presignTimeoutMs: 500 });
    const hurried = new SourceUrls({ ...gateway, presigns });
    await expect(hurried.urlsFor(target.agentId, commandId)).rejects.toThrow('gave no URLs within 0.5 s');
    const command = await presignCommand();
    await sourceLink.close();
    const back = await source.connect();
    await back.api.settled.mutate({ openRunIds: [], openCommandIds: [] });
    expect(back.commands).toEqual([]);
    await answer({ commandId: command.commandId, urls }, back);
    expect(downloads()).toEqual([]);
  });

  test('that has gone is not waited for at all', async () => {
    await sourceLink.close();
    await waitFor('the source to be gone', () => !gateway.connections.isConnected(source.agentId));
    expect((await refused(ask()))?.message).toContain('is not connected');
    expect(gateway.catalog.select().from(commands).all()).toHaveLength(1);
  });

  test('a copy that has gone meanwhile is not asked for', async () => {
    gateway.catalog.update(runs).set({ state: 'running' }).run();
    await sourceLink.send(
      source.report('copy', {
        databaseId: source.databaseId(),
        backupId: gateway.catalog.select().from(backups).get()?.id ?? '',
        storeId: source.storeId(),
        key: names.dump,
        state: 'missing',
      }),
    );
    expect(await refused(ask())).toMatchObject({ code: 'CopyUnreachable' });
    expect(sourceLink.commands).toEqual([]);
  });
});
