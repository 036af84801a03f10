import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { databaseIdOf, newId } from '@strideiq/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { manifestText, sealedBackupOf } from '../backup/manifest.ts';
import type { Host } from '../compose.ts';
import { claimPrefix } from '../stores/prefix-owner.ts';
import { exampleManifest } from '../testing/example-manifest.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { planCopies } from './plan-copies.ts';
import { pruneByItself, pruneCopies } from './prune-copies.ts';

let agent: TestAgent;
let host: Host;
const now = Date.parse('2026-11-30T12:00Z');

beforeEach(async () => {
  await open({});
});
afterEach(async () => {
  host.close();
  await agent.remove();
});

async function open(more: object, stores: object = {}): Promise<void> {
  agent = new TestAgent({
    controlPlane: new ScriptedControlPlane(),
    databases: {
      app: {
        connection: { host: '127.0.0.1', port: 1, user: 'nobody' },
        stores: ['local', ...Object.keys(stores)],
        ...more,
      },
    },
    stores: { ...stores },
    now: () => now,
  });
  host = await agent.open();
  await claim(agent.databaseId());
}

async function claim(databaseId: string): Promise<void> {
  const stores = await host.storesOf(database(), ['local']);
  const owner = { environment: 'test', database: 'app', databaseId };
  await Promise.all(stores.map(async (local) => claimPrefix(local, owner, false)));
}

const stemOf = (daysAgo: number) =>
  `app_${new Date(now - daysAgo * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '')}_030000`;
const put = (name: string, content: string | Buffer = 'x') => writeFileSync(join(agent.backups, name), content);

/** Backups of so many days ago, of which the journal knows nothing. */
function backups(...daysAgo: number[]): void {
  for (const days of daysAgo) backup(days);
}

function backup(daysAgo: number, more: { safety?: boolean } = {}): void {
  const stem = stemOf(daysAgo);
  const object = { ...exampleManifest.object, name: `${stem}.sql.gz` };
  put(object.name, 'x'.repeat(object.bytes));
  put(`${stem}.privileges.sql.gz`);
  const databaseId = agent.databaseId();
  put(`${stem}.manifest.json`, manifestText({ ...exampleManifest, databaseId, object, ...more }, stem));
}
const nightly = (days: number) => Array.from({ length: days }, (_, at) => at);

const database = () => host.configuration.databases['app'] ?? expect.unreachable();
const names = () => readdirSync(agent.backups).filter((name) => !name.startsWith('.'));
const dumps = () => names().filter((name) => /^app_\d+_\d+\.sql\.gz$/.test(name));
const prune = async () => pruneCopies(host, database(), await planCopies(host, database()));
const deletions = () => {
  const sql = "SELECT body FROM reports WHERE kind = 'deletion' ORDER BY seq";
  return (agent.rows(sql) as { body: string }[]).map(({ body }) => JSON.parse(body) as Record<string, unknown>);
};

test('what is older than a week goes with all that belongs to it, and each is reported', async () => {
  backups(...nightly(10));
  put('LATEST.sql.gz');
  const [pruned] = await prune();
  expect(pruned?.removed.map(({ backupId }) => backupId)).toEqual([stemOf(9), stemOf(8), stemOf(7)]);
  expect(dumps()).toEqual(
    nightly(7)
      .map((days) => `${stemOf(days)}.sql.gz`)
      .toSorted(),
  );
  expect(names()).toHaveLength(7 * 3 + 2);
  expect(deletions()).toMatchObject([
    { databaseId: agent.databaseId(), key: `${stemOf(9)}.sql.gz`, reason: 'no rule keeps it any more' },
    { key: `${stemOf(8)}.sql.gz` },
    { key: `${stemOf(7)}.sql.gz` },
  ]);
  expect((await prune())[0]?.removed).toEqual([]);
});

test('a removal that was cut short is finished the next time', async () => {
  backups(...nightly(10));
  rmSync(join(agent.backups, `${stemOf(9)}.sql.gz`));
  rmSync(join(agent.backups, `${stemOf(9)}.privileges.sql.gz`));
  await prune();
  expect(names().filter((name) => name.startsWith(stemOf(9)))).toEqual([]);
});

test('what has no manifest, or is of another database, is nobody’s to remove', async () => {
  backups(0, 1, 2, 3);
  const others = [
    `${stemOf(40)}.sql.gz`,
    'old_20250101_030000.sql.gz',
    'other_20250101_030000.manifest.json',
    'notes.txt',
  ];
  for (const name of others) put(name);
  await prune();
  expect(names()).toEqual(expect.arrayContaining(others));
});

test('what was made before a restore in place is not taken for the newest', async () => {
  host.close();
  await agent.remove();
  await open({ retention: { local: { count: 1 } } });
  backups(2, 3, 4);
  backup(1, { safety: true });
  backup(9, { safety: true });
  await prune();
  expect(dumps()).toEqual([`${stemOf(2)}.sql.gz`, `${stemOf(1)}.sql.gz`]);
});

test('a prefix that is not known to be this database’s has nothing removed', async () => {
  backups(...nightly(10));
  rmSync(join(agent.backups, 'strideiq-owner.json'));
  const [nobodys] = await prune();
  expect(nobodys).toMatchObject({ removed: [], problems: [expect.stringMatching(/not known to be this host's/)] });
  await claim(databaseIdOf('elsewhere', 'app'));
  expect((await prune())[0]?.problems).toHaveLength(1);
  expect(dumps()).toHaveLength(10);
});

test('a manifest that nobody can read counts for nothing, and a store that cannot be read has nothing removed', async () => {
  backups(0, 1, 2, 3, 20);
  put(`${stemOf(0)}.manifest.json`, '{');
  put(`${stemOf(20)}.manifest.json`, '{');
  await prune();
  expect(dumps()).toEqual([3, 2, 1, 0].map((days) => `${stemOf(days)}.sql.gz`));
  backups(20);
  rmSync(join(agent.backups, `${stemOf(20)}.manifest.json`));
  mkdirSync(join(agent.backups, `${stemOf(20)}.manifest.json`));
  expect((await prune())[0]).toMatchObject({ removed: [] });
});

test('one that is shorter than its manifest says is not taken for the newest; one that was only away for a while is', async () => {
  host.close();
  await agent.remove();
  await open({ retention: { local: { count: 1 } } });
  backups(1, 2, 3);
  put(`${stemOf(1)}.sql.gz`, 'x');
  const storeId = (await host.storesOf(database()))[0]?.store.storeId ?? '';
  const key = `${stemOf(2)}.sql.gz`;
  const missing = { databaseId: agent.databaseId(), backupId: newId(1), storeId, key, state: 'missing' as const };
  host.journal.copies.found({ ...missing, problems: [] });
  const [planned] = await planCopies(host, database());
  expect(planned?.plan.keep.map(({ backupId }) => backupId)).toEqual([stemOf(1), stemOf(2)]);
  expect(planned?.plan.remove.map(({ backupId }) => backupId)).toEqual([stemOf(3)]);
});

test('the newest that was read back whole stays, and a corrupt one counts for nothing', async () => {
  backups(...nightly(12));
  const [{ opened } = expect.unreachable()] = await planCopies(host, database());
  const found = (daysAgo: number, state: 'verified' | 'corrupt') =>
    host.journal.copies.found({
      databaseId: agent.databaseId(),
      backupId: newId(1),
      storeId: opened.store.storeId,
      key: `${stemOf(daysAgo)}.sql.gz`,
      state,
      problems: [],
    });
  found(11, 'verified');
  for (const daysAgo of nightly(3)) found(daysAgo, 'corrupt');
  await prune();
  // A week is counted from the newest good one, which is three days old.
  expect(dumps()).toEqual([11, ...nightly(10)].map((days) => `${stemOf(days)}.sql.gz`).toSorted());
  // What is gone is forgotten.
  found(11, 'corrupt');
  await prune();
  expect(host.journal.copies.foundIn(opened.store.storeId).get(`${stemOf(11)}.sql.gz`)).toBeUndefined();
});

describe('by itself', () => {
  const byItself = async () => pruneByItself(host, database(), {});

  test('only stores that have the backup are looked at', async () => {
    backups(...nightly(8));
    expect(await pruneByItself(host, database(), { only: [] })).toEqual({ notes: [], warnings: [] });
    expect(dumps()).toHaveLength(8);
  });

  test('it says what it removed, and removes nothing where much would go at once', async () => {
    backups(...nightly(8));
    expect(await byItself()).toEqual({ notes: [`Removed from local: ${stemOf(7)}`], warnings: [] });
    for (const name of names()) if (name.startsWith('app_')) rmSync(join(agent.backups, name));
    backups(0, 100, 101, 102, 103);
    expect(await byItself()).toEqual({
      notes: [],
      warnings: [expect.stringMatching(/^Retention would remove 4 of the 5 copies of app in local at once, and waits/)],
    });
    expect(dumps()).toHaveLength(5);
  });

  test('it waits for whoever reads a backup', async () => {
    backups(...nightly(8));
    const run = { id: newId(1), kind: 'restore' as const, environment: 'test', database: 'app', detail: {} };
    host.journal.begin({ ...run, databaseId: agent.databaseId() });
    expect((await byItself()).warnings).toEqual([expect.stringMatching(/reads a backup just now/)]);
    expect(dumps()).toHaveLength(8);
  });

  test('a store that cannot be asked has nothing removed, and is told', async () => {
    backups(...nightly(8));
    rmSync(agent.backups, { recursive: true });
    writeFileSync(agent.backups, '');
    expect((await byItself()).warnings).toEqual([expect.stringMatching(/^local: Listing .* failed: a file stands/)]);
  });
});

test('buckets are the control plane’s where there is one, and their own rules are their own', async () => {
  host.close();
  await agent.remove();
  const s3 = {
    type: 's3',
    bucket: 'copies',
    region: 'x',
    endpoint: 'http://127.0.0.1:1',
    credentials: { accessKeyIdFile: 'a', secretAccessKeyFile: 'a' },
  };
  await open({ retention: { local: { count: 2 } } }, { s3 });
  writeFileSync(join(agent.directory, 'a'), 'x', { mode: 0o600 });
  backups(...nightly(4));
  const plans = await planCopies(host, database());
  expect(plans.map(({ opened }) => opened.name)).toEqual(['local']);
  expect(plans[0]?.plan.remove.map(({ backupId }) => backupId)).toEqual([stemOf(3), stemOf(2)]);
});

describe('while another store lacks them', () => {
  /** One that this host made, with its copy here, and none in the bucket. */
  function made(daysAgo: number, elsewhere: 'failed' | 'stored'): void {
    backup(daysAgo);
    const stem = stemOf(daysAgo);
    const manifest = { ...exampleManifest, object: { ...exampleManifest.object, name: `${stem}.sql.gz` } };
    const [runId, backupId] = [newId(now - daysAgo), newId(now - daysAgo)];
    const { journal } = host;
    const run = { id: runId, kind: 'backup' as const, environment: 'test', database: 'app', detail: { backupId } };
    journal.begin({ ...run, databaseId: agent.databaseId() });
    journal.seal(
      { runId, backupId, manifest: '', manifestSha256: '', privileges: null, globals: null },
      sealedBackupOf(manifest, 'ab'.repeat(32)),
    );
    const copies = storeIds.map(([store, storeId]) => ({
      storeId,
      store,
      location: '',
      dumpKey: `${stem}.sql.gz`,
      state: store === 'local' ? ('stored' as const) : elsewhere,
    }));
    journal.finish(runId, 'succeeded', { copies });
  }
  let storeIds: [string, string][] = [];
  const openWith = async (retention: object) => {
    host.close();
    await agent.remove();
    await open({ retention }, { other: { type: 'directory', path: 'other' } });
    const stores = await host.storesOf(database());
    storeIds = stores.map(({ name, store }) => [name, store.storeId]);
  };
  const planOfLocal = async () => {
    const plans = await planCopies(host, database());
    return plans.find(({ opened }) => opened.name === 'local')?.plan ?? expect.unreachable();
  };

  test('copies stay from which it is still to get its own, for as long as it would keep them', async () => {
    await openWith({ local: { days: 2 }, other: { days: 5 } });
    for (const days of nightly(9)) made(days, days > 6 ? 'stored' : 'failed');
    const { keep, remove } = await planOfLocal();
    expect(remove.map(({ backupId }) => backupId)).toEqual([8, 7, 6, 5].map(stemOf));
    const reasonsOf = (days: number) => keep.find(({ backupId }) => backupId === stemOf(days))?.reasons;
    expect(reasonsOf(4)).toEqual(['it is pinned: other does not have it yet, and gets it from here']);
  });

  test('and go by their own rules once it has them, or where they are no good themselves', async () => {
    await openWith({ local: { days: 2 }, other: { days: 30 } });
    for (const days of nightly(4)) made(days, 'failed');
    expect((await planOfLocal()).remove).toEqual([]);
    const [, storeId = ''] = storeIds.find(([name]) => name === 'local') ?? [];
    const copy = { databaseId: agent.databaseId(), backupId: newId(1), storeId, key: `${stemOf(3)}.sql.gz` };
    host.journal.copies.found({ ...copy, state: 'corrupt', problems: [] });
    expect((await planOfLocal()).remove.map(({ backupId }) => backupId)).toEqual([stemOf(3)]);
    for (const { id, detail } of host.journal.madeOf(agent.databaseId(), 10)) {
      const [, other = ''] = storeIds.find(([name]) => name === 'other') ?? [];
      const key = detail.sealed?.objectName ?? '';
      host.journal.copies.made(id, { ...copy, backupId: detail.backupId ?? '', storeId: other, key, sizeBytes: 30 });
    }
    expect((await planOfLocal()).remove.map(({ backupId }) => backupId)).toEqual([3, 2].map(stemOf));
  });

  test('and then they go by themselves, however many have been waiting', async () => {
    await openWith({ local: { count: 2 }, other: { days: 30 } });
    for (const days of nightly(12)) made(days, days > 9 ? 'stored' : 'failed');
    const isMass = async () =>
      (await planCopies(host, database())).find(({ opened }) => opened.name === 'local')?.isMass;
    const [, storeId = ''] = storeIds.find(([name]) => name === 'other') ?? [];
    for (const { id, detail } of host.journal.madeOf(agent.databaseId(), 20)) {
      const copy = detail.copies?.find((each) => each.storeId === storeId);
      if (!copy || !('state' in copy) || copy.state === 'stored') continue;
      const { backupId = '', sealed } = detail;
      const key = sealed?.objectName ?? '';
      host.journal.copies.made(id, { databaseId: agent.databaseId(), backupId, storeId, key, sizeBytes: 30 });
    }
    expect([(await planOfLocal()).remove.length, await isMass()]).toEqual([10, false]);
    // What nothing was waiting for is still much at once.
    for (const days of [12, 13, 14, 15]) made(days, 'stored');
    expect([(await planOfLocal()).remove.length, await isMass()]).toEqual([14, true]);
  });
});
