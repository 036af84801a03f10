import { existsSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ReportBodies } from '@strideiq/protocol';
import { startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { runBackup } from '../backup/run-backup.ts';
import { Host } from '../compose.ts';
import { CopyKeeper } from '../copies/copy-keeper.ts';
import { pruneByItself } from '../retention/prune-copies.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { StoreWatcher } from './store-watcher.ts';

const hour = 3_600_000;
let cluster: PostgresCluster;
let agent: TestAgent;
let host: Host;
let now: number;
let said: string[];
let watcher: StoreWatcher;
beforeAll(async () => {
  cluster = await startPostgres();
  await cluster.createDatabase('app');
});
afterAll(async () => {
  await cluster.stop();
});
beforeEach(async () => {
  now = Date.now();
  said = [];
  const { host: server, port } = cluster;
  const database = {
    connection: { host: server, port, user: 'postgres', database: 'app' },
    stores: ['local', 'other'],
  };
  agent = new TestAgent({
    controlPlane: new ScriptedControlPlane(),
    databases: { app: { ...database, retention: { local: { count: 2 }, other: { count: 3 } } } },
    stores: { other: { type: 'directory', path: './other' } },
    now: () => now,
  });
  host = await agent.open();
  const say = (text: string) => void said.push(text);
  watcher = new StoreWatcher(host, { info: say, warn: say, error: say });
});
afterEach(async () => {
  host.close();
  await agent.remove();
});

const { signal } = new AbortController();
const app = () => host.configuration.databases['app'] ?? expect.unreachable();

async function backUp(): Promise<string> {
  now += 2 * hour;
  const { journal, key } = host;
  const deps = { journal, key, now: () => now, progress: () => undefined, signal };
  const { manifest } = await runBackup(await host.backupRequest(app()), deps);
  await pruneByItself(host, app(), {});
  return manifest.object.name;
}

/** One pass, an hour and more after the last. */
async function look(): Promise<void> {
  now += 2 * hour;
  await watcher.look(signal);
}

const reports = <Kind extends 'drift' | 'copy'>(kind: Kind) =>
  host.journal.outbox
    .batchAfter(0)
    .filter((report) => report.kind === kind)
    .map(({ body }) => body as unknown as ReportBodies[Kind]);
const storeId = async (name: string) => (await host.storesOf(app(), [name]))[0]?.store.storeId ?? '';
const drift = async (name = 'local') => {
  const items = host.journal.surveys.of(await storeId(name))?.items ?? [];
  return items.map(({ kind, key }) => [kind, key]);
};
const findings = async (name = 'local') => Object.fromEntries(host.journal.copies.foundIn(await storeId(name)));
const at = (name: string) => join(agent.backups, name);

test('what is as it was made is no drift, which is told once a day; what retention removed is not missed', async () => {
  await backUp();
  await look();
  expect(await drift()).toEqual([]);
  expect(reports('drift')).toHaveLength(0);
  for (let n = 0; n < 3; n++) await backUp();
  expect(readdirSync(agent.backups).filter((name) => /^app_.*\d\.sql\.gz$/.test(name))).toHaveLength(2);
  await look();
  expect(await drift()).toEqual([]);
  expect(reports('drift')).toHaveLength(0);
  now += 24 * hour;
  await look();
  expect(reports('drift')).toHaveLength(2);
  expect(said).toEqual([]);
});

test('deleted, added, resized and written again: each is told within one pass, and the good one makes it whole', async () => {
  const [gone, changed] = [await backUp(), await backUp()];
  await look();
  rmSync(at(gone));
  const flipped = Buffer.from('not the dump');
  const { sealed } =
    host.journal.madeOf(host.databaseIdOf(app()), 9).find(({ detail }) => detail.sealed?.objectName === changed)
      ?.detail ?? {};
  writeFileSync(at(changed), Buffer.concat([flipped, Buffer.alloc((sealed?.bytes ?? 0) - flipped.length)]));
  utimesSync(at(changed), new Date(), new Date(Date.now() + 60_000));
  writeFileSync(at('notes.txt'), 'mine');
  await look();
  expect(await drift()).toEqual(
    expect.arrayContaining([
      ['missing', gone],
      ['changed', changed],
      ['foreign', 'notes.txt'],
    ]),
  );
  expect(await findings()).toMatchObject({ [gone]: 'missing', [changed]: 'corrupt' });
  expect(reports('copy').map(({ key, state }) => [key, state])).toEqual(
    expect.arrayContaining([
      [gone, 'missing'],
      [changed, 'corrupt'],
    ]),
  );
  expect(said).toHaveLength(3);
  await new CopyKeeper(host, { info: () => undefined, warn: () => undefined, error: () => undefined }).look(signal);
  await look();
  expect(await drift()).toEqual([['foreign', 'notes.txt']]);
  expect(await findings()).toEqual({});
  expect(said).toHaveLength(3);
});

test('a copy of another size is corrupt; one that is back is stored again', async () => {
  const [short, away] = [await backUp(), await backUp()];
  await look();
  writeFileSync(at(short), 'short');
  renameSync(at(away), at('.away'));
  await look();
  expect(await findings()).toMatchObject({ [short]: 'corrupt', [away]: 'missing' });
  renameSync(at('.away'), at(away));
  await look();
  expect(await findings()).toMatchObject({ [away]: 'stored' });
  expect(await drift()).toEqual([['resized', short]]);
});

test('a copy that is gone from a bucket is made again, and no more than once in a week', async () => {
  const { storesOf } = Host.prototype;
  const spy = vi.spyOn(Host.prototype, 'storesOf').mockImplementation(async function (this: Host, ...asked) {
    const opened = await storesOf.apply(this, asked);
    return opened.map((each) => (each.name === 'other' ? { ...each, kind: 's3' as const } : each));
  });
  try {
    const made = await backUp();
    const copy = join(agent.directory, 'other', made);
    const lookAndMake = async () => {
      rmSync(copy, { force: true });
      await look();
      await new CopyKeeper(host, { info: () => undefined, warn: () => undefined, error: () => undefined }).look(signal);
      return existsSync(copy);
    };
    expect([await lookAndMake(), await lookAndMake()]).toEqual([true, false]);
    now += 7 * 24 * hour;
    expect(await lookAndMake()).toBe(true);
    expect(reports('copy').filter(({ state, key }) => state === 'stored' && key === made)).toHaveLength(2);
  } finally {
    spy.mockRestore();
  }
});

test('of a directory that nobody says is this database’s, as where a disk is not mounted, no copy is taken for gone', async () => {
  const made = await backUp();
  await look();
  const moved = `${agent.backups}-away`;
  renameSync(agent.backups, moved);
  await look();
  expect(await findings()).toEqual({});
  expect(await drift()).toEqual([['missing', 'strideiq-owner.json']]);
  expect(said.at(-1)).toMatch(/is its disk mounted\?/);
  if (existsSync(agent.backups)) rmSync(agent.backups, { recursive: true });
  renameSync(moved, agent.backups);
  await look();
  expect(await drift()).toEqual([]);
  expect(await findings()).not.toMatchObject({ [made]: 'missing' });
});

test('looks at each store once an hour, also after a restart', async () => {
  await backUp();
  await look();
  writeFileSync(at('notes.txt'), 'mine');
  await watcher.look(signal);
  now += hour / 2;
  await new StoreWatcher(host, { info: () => undefined, warn: () => undefined, error: () => undefined }).look(signal);
  expect(await drift()).toEqual([]);
  now += hour / 2;
  await watcher.look(signal);
  expect(await drift()).toEqual([['foreign', 'notes.txt']]);
});

test('stores that cannot be opened are tried again now and then, and why is said once', async () => {
  const said: string[] = [];
  const credentials = { accessKeyIdFile: 'key', secretAccessKeyFile: 'secret' };
  const bucket = { type: 's3', bucket: 'away', region: 'us-east-1', endpoint: 'http://127.0.0.1:1', credentials };
  const connection = { host: '127.0.0.1', port: 1, user: 'nobody' };
  const other = new TestAgent({
    controlPlane: new ScriptedControlPlane(),
    databases: { app: { connection, stores: ['local', 'bucket'], dump: { stallLimit: '1s' } } },
    stores: { bucket },
    now: () => now,
  });
  const itsHost = await other.open();
  try {
    const say = (text: string) => void said.push(text);
    const its = new StoreWatcher(itsHost, { info: say, warn: say, error: say });
    for (let minute = 0; minute < 30; minute++) {
      await its.look(signal);
      now += hour / 60;
    }
    expect(said).toEqual([
      expect.stringMatching(
        /^could not look into the stores of app, and tries again in 1 min: .*access key id cannot be read/,
      ),
    ]);
    for (const name of ['key', 'secret']) writeFileSync(join(other.directory, name), 'known', { mode: 0o600 });
    now += hour;
    await its.look(signal);
    expect(said.slice(1)).toEqual([
      expect.stringMatching(/^could not compare bucket of app with what is known of it, and tries again in 60 min: /),
    ]);
  } finally {
    itsHost.close();
    await other.remove();
  }
});
