import { newId } from '@strideiq/core';
import type { CommandEnvelope, SourceUrls } from '@strideiq/protocol';
import { openS3Store, type Store } from '@strideiq/storage';
import { createSampleDatabase, fingerprint, startPostgres, startS3, waitFor } from '@strideiq/testkit';
import type { PostgresCluster, S3Server } from '@strideiq/testkit';
import { cpSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';

/** What commands do, on real servers and stores. */

let cluster: PostgresCluster;
let s3: S3Server;
let bucket: Store;
let controlPlane: ScriptedControlPlane;
let agent: TestAgent;

beforeAll(async () => {
  [cluster, s3] = await Promise.all([startPostgres(), startS3()]);
  await Promise.all([createSampleDatabase(cluster, 'app', { scaleMb: 2 }), s3.createBucket('copies')]);
}, 240_000);
afterAll(async () => {
  await Promise.all([cluster?.stop(), s3?.stop()]);
});

/** Names of the server's databases. */
const databases = async () => {
  const rows = await cluster.query<{ datname: string }>('postgres', 'SELECT datname FROM pg_database ORDER BY 1');
  return rows.map(({ datname }) => datname);
};

function makeAgent(prefix: string, more: Record<string, object> = {}, trustBackups?: boolean): TestAgent {
  const { host, port, user, password, clientDir } = cluster;
  const made = new TestAgent({
    controlPlane,
    ...(trustBackups === undefined ? {} : { trustBackups }),
    databases: {
      app: {
        connection: {
          host,
          port,
          user,
          database: 'app',
          ...(password === undefined ? {} : { passwordFile: 'pg.pass' }),
        },
        stores: ['local', 's3'],
        dump: { pgDump: clientDir },
        ...more,
      },
    },
    stores: {
      s3: {
        type: 's3',
        bucket: 'copies',
        prefix,
        endpoint: s3.endpoint,
        region: s3.region,
        credentials: { accessKeyIdFile: 'key', secretAccessKeyFile: 'secret' },
      },
      spare: { type: 'directory', path: 'spare' },
    },
  });
  for (const [name, secret] of Object.entries({ 'pg.pass': password ?? '', key: s3.accessKey, secret: s3.secretKey })) {
    writeFileSync(join(made.directory, name), secret, { mode: 0o600 });
  }
  return made;
}

beforeEach(async (context) => {
  controlPlane = new ScriptedControlPlane();
  await controlPlane.start();
  const prefix = `${context.task.id}/`;
  const credentials = { accessKeyId: s3.accessKey, secretAccessKey: s3.secretKey };
  bucket = await openS3Store({ bucket: 'copies', prefix, endpoint: s3.endpoint, credentials });
  agent = makeAgent(prefix);
});
afterEach(async () => {
  await agent.remove();
  await controlPlane.stop();
  bucket.close();
});

const ended = async ({ commandId }: CommandEnvelope) =>
  waitFor('the end of the command', () => controlPlane.endOf(commandId), { timeoutMs: 90_000 });
const runOf = ({ runId = '' }: CommandEnvelope) => controlPlane.run(runId);
const doIt = async (command: CommandEnvelope) => {
  controlPlane.send(command);
  return ended(command);
};

interface Backup {
  backupId: string;
  objectName: string;
  manifestSha256: string;
  rows: number;
  tables: number;
  copies: { storeId: string; key: string; state: string }[];
}

/** Takes a backup by command, and tells what was reported of it. */
async function backedUp(more: object = {}): Promise<Backup> {
  const command = agent.command('backup', more);
  expect(await doIt(command)).toMatchObject({ state: 'done' });
  expect(runOf(command)).toMatchObject({ state: 'succeeded' });
  return (runOf(command) as { backup: Backup }).backup;
}

const publicKeyPem = async () => (await agent.start()).key.publicPem;

test('backup: into every store, reported as the manifest says it, with a log and progress', async () => {
  await agent.start();
  const command = agent.command('backup');
  await doIt(command);
  const run = runOf(command) as { backup: Backup };
  const manifestKey = readdirSync(agent.backups).find((name) => /\d\.manifest\.json$/.test(name)) ?? '';
  expect(run).toMatchObject({
    state: 'succeeded',
    commandId: command.commandId,
    databaseId: agent.databaseId(),
    backup: {
      objectName: manifestKey.replace('.manifest.json', '.sql.gz'),
      copies: [{ state: 'stored' }, { state: 'stored' }],
    },
  });
  expect(run.backup.rows).toBeGreaterThan(100);
  expect(await bucket.head(manifestKey)).toBeDefined();
  expect(controlPlane.statesOf(command.runId ?? '')).toEqual(['running', 'succeeded']);
  const phases = controlPlane.told('log').flatMap(({ lines }) => lines as { text: string }[]);
  expect(phases.map(({ text }) => text)).toEqual(
    expect.arrayContaining(['Preparing', 'Dumping', 'Storing the last bytes']),
  );
  const open = controlPlane.settled.at(-1);
  expect(open).toEqual({ openRunIds: [], openCommandIds: [] });
});

test('backup: into the named stores alone', async () => {
  await agent.start();
  const hello = await waitFor('hello', () => controlPlane.hellos[0]);
  const storeId = hello.databases[0]?.stores.find(({ name }) => name === 'local')?.storeId ?? '';
  const { copies, objectName } = await backedUp({ storeIds: [storeId] });
  expect(copies).toEqual([expect.objectContaining({ storeId, state: 'stored' })]);
  expect(await bucket.head(objectName)).toBeUndefined();
});

test('verify: each copy is reported as it was found, whole, corrupt or missing', async () => {
  await agent.start();
  const { backupId, objectName: key, copies } = await backedUp();
  const whole = agent.command('verify', { backupId, key });
  expect(await doIt(whole)).toMatchObject({ state: 'done' });
  const reported = () =>
    controlPlane.told('copy').map(({ storeId, state, backupId, runId }) => ({ storeId, state, backupId, runId }));
  const [local = '', far = ''] = copies.map(({ storeId }) => storeId);
  expect(reported()).toEqual(
    expect.arrayContaining([
      { storeId: local, state: 'verified', backupId, runId: whole.runId },
      { storeId: far, state: 'verified', backupId, runId: whole.runId },
    ]),
  );
  writeFileSync(join(agent.backups, key), 'nothing of it');
  for (const name of [key, key.replace('.sql.gz', '.manifest.json')]) await bucket.delete(name);
  const broken = agent.command('verify', { backupId, key });
  expect(await doIt(broken)).toMatchObject({ state: 'done' });
  expect(runOf(broken)).toMatchObject({ state: 'succeeded' });
  expect(reported().filter(({ runId }) => runId === broken.runId)).toEqual(
    expect.arrayContaining([
      { storeId: local, state: 'corrupt', backupId, runId: broken.runId },
      // Also its manifest is gone: that it was there stands in the journal.
      { storeId: far, state: 'missing', backupId, runId: broken.runId },
    ]),
  );
});

test('verify: a store that cannot be asked fails the run, and the others are told', async () => {
  await agent.start();
  const { backupId, objectName: key } = await backedUp();
  await agent.stop();
  writeFileSync(join(agent.directory, 'secret'), 'not the secret any more');
  await agent.start();
  const command = agent.command('verify', { backupId, key });
  await doIt(command);
  expect(runOf(command)).toMatchObject({
    state: 'failed',
    error: { code: 'StoreFailed', text: expect.stringContaining('s3') as string },
  });
  expect(controlPlane.told('copy').filter(({ runId }) => runId === command.runId)).toMatchObject([
    { state: 'verified' },
  ]);
});

describe('restoreFresh', () => {
  const restore = (backup: Backup, into: string, source: object, trust?: object) =>
    agent.command('restoreFresh', {
      backupId: backup.backupId,
      sourceDatabaseId: agent.databaseId(),
      source: { key: backup.objectName, ...source },
      into,
      ...(trust === undefined ? {} : { trust }),
    });

  /** A second host of the same server: no journal, no key and no store that has anything to do with the first. */
  async function elsewhere({ trustBackups = true } = {}): Promise<void> {
    await agent.remove();
    await controlPlane.stop();
    controlPlane = new ScriptedControlPlane();
    await controlPlane.start();
    agent = makeAgent('elsewhere/', {}, trustBackups);
    await agent.start();
  }

  const urlsOf =
    (backup: Backup, expiresInSeconds = 60) =>
    async (): Promise<SourceUrls> => {
      const url = async (key: string) => (await bucket.presign?.(key, { expiresInSeconds })) ?? '';
      const stem = backup.objectName.replace('.sql.gz', '');
      return {
        dump: await url(backup.objectName),
        manifest: await url(`${stem}.manifest.json`),
        privileges: await url(`${stem}.privileges.sql.gz`),
        expiresAt: new Date(Date.now() + 60_000).toISOString(),
      };
    };

  test('from a store: a new database with equal rows, and none of that name twice', async () => {
    await agent.start();
    const backup = await backedUp();
    const storeId = backup.copies[1]?.storeId ?? '';
    const command = restore(backup, 'app_new', { via: 'store', storeId });
    expect(await doIt(command)).toMatchObject({ state: 'done' });
    expect(runOf(command)).toMatchObject({
      kind: 'restore',
      state: 'succeeded',
      restore: { backupId: backup.backupId, into: 'app_new', rows: backup.rows, tables: backup.tables },
    });
    const [before, after] = await Promise.all([fingerprint(cluster, 'app'), fingerprint(cluster, 'app_new')]);
    expect(after.tables).toEqual(before.tables);
    const again = restore(backup, 'app_new', { via: 'store', storeId });
    await doIt(again);
    expect(runOf(again)).toMatchObject({ state: 'failed', error: { code: 'TargetExists' } });
    await cluster.query('postgres', 'DROP DATABASE app_new');
  });

  test('from a store that no database of this host uses', async () => {
    await agent.start();
    const backup = await backedUp();
    const [hello] = controlPlane.hellos;
    const declared = hello?.databases[0]?.stores.map(({ storeId }) => storeId) ?? [];
    const storeId = hello?.reachableStoreIds.find((id) => !declared.includes(id)) ?? '';
    cpSync(agent.backups, join(agent.directory, 'spare'), { recursive: true });
    const command = restore(backup, 'app_spare', { via: 'store', storeId });
    await doIt(command);
    expect(runOf(command)).toMatchObject({ state: 'succeeded' });
    await cluster.query('postgres', 'DROP DATABASE app_spare');
  });

  test('by URLs on another host, by what the control plane knows of the manifest; no URL is written down', async () => {
    const key = await publicKeyPem();
    const backup = await backedUp();
    await elsewhere();
    controlPlane.sourceUrls = urlsOf(backup);
    const trust = { manifestSha256: backup.manifestSha256, publicKeyPem: key };
    const command = restore(backup, 'app_far', { via: 'url' }, trust);
    await doIt(command);
    expect(runOf(command)).toMatchObject({ state: 'succeeded', restore: { rows: backup.rows } });
    const [before, after] = await Promise.all([fingerprint(cluster, 'app'), fingerprint(cluster, 'app_far')]);
    expect(after.tables).toEqual(before.tables);
    await cluster.query('postgres', 'DROP DATABASE app_far');
    await agent.stop();
    const written = agent.withJournal((journal) =>
      JSON.stringify([journal.get(command.runId ?? ''), journal.commands.get(command.commandId)]),
    );
    for (const text of [written, JSON.stringify(controlPlane.recorded), agent.said.join('\n')]) {
      expect(text).not.toMatch(/X-Amz|Signature=/i);
    }
  });

  test.each([
    ['nothing is known of its manifest', undefined],
    ['it is not the manifest that is known', { manifestSha256: '0'.repeat(64) }],
    ['it was signed by another key', { publicKeyPem: 'none' }],
  ])('by URLs, where %s: refused, and nothing is left', async (_, wrong) => {
    const key = await publicKeyPem();
    const backup = await backedUp();
    await elsewhere();
    controlPlane.sourceUrls = urlsOf(backup);
    const trust = wrong && { manifestSha256: backup.manifestSha256, publicKeyPem: key, ...wrong };
    const command = restore(backup, 'app_untrusted', { via: 'url' }, trust);
    await doIt(command);
    expect(runOf(command)).toMatchObject({ state: 'failed', error: { code: 'SourceUntrusted' } });
    expect((await databases()).filter((name) => /untrusted|strideiq_/.test(name))).toEqual([]);
  });

  test('by URLs as a superuser, where the host’s file does not take the control plane’s word: refused, and nothing is left', async () => {
    const key = await publicKeyPem();
    const backup = await backedUp();
    await elsewhere({ trustBackups: false });
    controlPlane.sourceUrls = urlsOf(backup);
    const trust = { manifestSha256: backup.manifestSha256, publicKeyPem: key };
    const command = restore(backup, 'app_untrusted', { via: 'url' }, trust);
    await doIt(command);
    expect(runOf(command)).toMatchObject({
      state: 'failed',
      error: { code: 'SourceUntrusted', text: expect.stringContaining('controlPlane.trustBackups') },
    });
    expect((await databases()).filter((name) => /untrusted|strideiq_/.test(name))).toEqual([]);
  });

  test('where the given trust does not fit, its own signature does not help', async () => {
    await agent.start();
    const backup = await backedUp();
    const source = { via: 'store', storeId: backup.copies[0]?.storeId };
    const trust = { manifestSha256: '0'.repeat(64), publicKeyPem: 'none' };
    const command = restore(backup, 'app_untrusted', source, trust);
    await doIt(command);
    expect(runOf(command)).toMatchObject({ state: 'failed', error: { code: 'SourceUntrusted' } });
  });

  test('of another backup under that name, of a name that is none, and of a store that is not in the file', async () => {
    await agent.start();
    const backup = await backedUp();
    const storeId = backup.copies[0]?.storeId;
    const other = restore({ ...backup, backupId: newId(1) }, 'app_other', { via: 'store', storeId });
    expect(await doIt(other)).toMatchObject({ state: 'refused', reason: { code: 'VerificationFailed' } });
    const nameless = restore({ ...backup, objectName: 'LATEST.sql.gz' }, 'app_other', { via: 'url' });
    expect(await doIt(nameless)).toMatchObject({ state: 'refused', reason: { code: 'CommandInvalid' } });
    const nowhere = restore(backup, 'app_other', { via: 'store', storeId: newId(1) });
    expect(await doIt(nowhere)).toMatchObject({ state: 'refused', reason: { code: 'StoreUnknown' } });
    const urls = restore(backup, 'app_other', { via: 'url' });
    expect(await doIt(urls)).toMatchObject({ state: 'refused', reason: { code: 'CopyUnreachable' } });
    expect((await databases()).filter((name) => /app_other|strideiq_/.test(name))).toEqual([]);
  });
});

test('presign: URLs by which somebody else reads, answered to whoever asked and written down nowhere', async () => {
  await agent.start();
  const { objectName, copies } = await backedUp();
  const keys = [objectName, objectName.replace('.sql.gz', '.manifest.json')];
  const command = agent.command('presign', { storeId: copies[1]?.storeId, keys, expiresInSeconds: 60 });
  expect(await doIt(command)).toMatchObject({ state: 'done' });
  const urls = controlPlane.presigned[0]?.urls ?? [];
  expect(await Promise.all(urls.map(async (url) => (await fetch(url)).status))).toEqual([200, 200]);
  await agent.stop();
  const written = agent.withJournal((journal) => JSON.stringify(journal.commands.get(command.commandId)));
  expect(`${written}${JSON.stringify(controlPlane.recorded)}${agent.said.join()}`).not.toMatch(/X-Amz|Signature=/i);
  const foreign = agent.command('presign', {
    storeId: copies[1]?.storeId,
    keys: ['strideiq-owner.json'],
    expiresInSeconds: 60,
  });
  await agent.start();
  expect(await doIt(foreign)).toMatchObject({ state: 'refused', reason: { code: 'CommandInvalid' } });
});

describe('one run of a database at a time', () => {
  /** Holds what a backup needs, so that it stays where it is until the lock is let go of. */
  async function lockTable(): Promise<{ release: () => Promise<void> }> {
    const client = await cluster.connect('app');
    const { rows } = await client.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)' LIMIT 1`,
    );
    await client.query('BEGIN');
    await client.query(`LOCK TABLE ${rows[0]?.name} IN ACCESS EXCLUSIVE MODE`);
    return {
      release: async () => {
        await client.query('ROLLBACK');
        await client.end();
      },
    };
  }

  test('the next waits its turn; cancelled while it waits, or while it runs, it leaves nothing', async () => {
    await agent.start();
    const lock = await lockTable();
    const [running, waiting, last] = [agent.command('backup'), agent.command('backup'), agent.command('backup')];
    for (const command of [running, waiting, last]) controlPlane.send(command);
    await waitFor('the first to run', () => runOf(running)?.['state'] === 'running');
    await waitFor('all to be taken on', () => controlPlane.acknowledged.length === 3);
    expect([runOf(waiting), runOf(last)]).toEqual([undefined, undefined]);
    await waitFor('progress of it', () =>
      controlPlane.progress.some(({ runs }) => runs.some(({ runId }) => runId === running.runId)),
    );
    const cancel = (command: CommandEnvelope) => agent.command('cancel', { runId: command.runId });
    expect(await doIt(cancel(waiting))).toMatchObject({ state: 'done' });
    await ended(waiting);
    expect(controlPlane.statesOf(waiting.runId ?? '').at(-1)).toBe('cancelled');
    expect(runOf(running)).toMatchObject({ state: 'running' });
    expect(await doIt(cancel(running))).toMatchObject({ state: 'done' });
    await ended(running);
    expect(controlPlane.statesOf(running.runId ?? '')).toEqual(['running', 'cancelling', 'cancelled']);
    expect(readdirSync(agent.backups).filter((name) => name !== 'strideiq-owner.json')).toEqual([]);
    await lock.release();
    await ended(last);
    expect(runOf(last)).toMatchObject({ state: 'succeeded' });
    const moments = controlPlane.progress.map(({ at }) => at);
    expect(moments.length).toBeLessThanOrEqual(((moments.at(-1) ?? 0) - (moments[0] ?? 0)) / 1000 + 2);
  });

  test('a stop ends what runs in good order, tells of it, and leaves what waits for the next start', async () => {
    await agent.start();
    const lock = await lockTable();
    const [running, waiting] = [agent.command('backup'), agent.command('backup')];
    controlPlane.send(running);
    controlPlane.send(waiting);
    await waitFor('the first to run', () => runOf(running)?.['state'] === 'running');
    await waitFor('both to be taken on', () => controlPlane.acknowledged.length === 2);
    await agent.stop();
    expect(runOf(running)).toMatchObject({ state: 'cancelled' });
    expect(controlPlane.endOf(running.commandId)).toMatchObject({ state: 'done' });
    expect(controlPlane.endOf(waiting.commandId)).toBeUndefined();
    await lock.release();
    await agent.start();
    await ended(waiting);
    expect(controlPlane.settled.at(-1)?.openCommandIds).toContain(waiting.commandId);
    expect(runOf(waiting)).toMatchObject({ state: 'succeeded' });
  });

  test('work goes on while the control plane is away, and is told when it is back', async () => {
    await agent.start();
    const lock = await lockTable();
    const command = agent.command('backup');
    controlPlane.send(command);
    await waitFor('it to run', () => runOf(command)?.['state'] === 'running');
    await controlPlane.stop();
    await lock.release();
    await waitFor(
      'its end',
      () => agent.withJournal((journal) => journal.get(command.runId ?? '')?.state === 'succeeded'),
      { timeoutMs: 60_000, everyMs: 200 },
    );
    await controlPlane.start();
    await ended(command);
    expect(runOf(command)).toMatchObject({ state: 'succeeded' });
  });
});
