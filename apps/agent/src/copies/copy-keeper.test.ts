import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newId } from '@strideiq/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Host } from '../compose.ts';
import { AgentError } from '../errors.ts';
import { claimPrefix } from '../stores/prefix-owner.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { storeBackup } from '../testing/stored-backup.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { CopyKeeper } from './copy-keeper.ts';

/** Backups of 30 bytes in one directory, and another directory that was away when they were made. */

const hour = 3_600_000;
let agent: TestAgent;
let host: Host;
let now: number;
let said: string[];
let other: string;
let keeper: CopyKeeper;
const signal = new AbortController().signal;

beforeEach(async () => {
  now = Date.parse('2026-11-30T12:00Z');
  said = [];
  agent = new TestAgent({
    controlPlane: new ScriptedControlPlane(),
    databases: {
      app: { connection: { host: '127.0.0.1', port: 1, user: 'nobody' }, stores: ['local', 'other'] },
    },
    stores: { other: { type: 'directory', path: 'other' } },
    now: () => now,
  });
  other = join(agent.directory, 'other');
  host = await agent.open();
  const say = (text: string) => void said.push(text);
  keeper = new CopyKeeper(host, { info: say, warn: say, error: say });
  await claim('local');
});
afterEach(async () => {
  host.close();
  await agent.remove();
});

async function claim(name: string): Promise<void> {
  const owner = { environment: 'test', database: 'app', databaseId: agent.databaseId() };
  for (const opened of await host.storesOf(database(), [name])) await claimPrefix(opened, owner, false);
}

const database = () => host.configuration.databases['app'] ?? expect.unreachable();

/** One whose copy in the other directory failed. @returns its name without an end */
async function made(hoursAgo: number): Promise<string> {
  const at = now - hoursAgo * hour;
  const { names } = await storeBackup(host, { at, directories: [agent.backups], failedIn: ['other'] });
  return names.stem;
}

const away = () => {
  rmSync(other, { recursive: true, force: true });
  writeFileSync(other, '');
};
const back = () => {
  rmSync(other, { recursive: true, force: true });
  mkdirSync(other, { mode: 0o700 });
};
const dumps = () => readdirSync(other).filter((name) => /^app_.*\.sql\.gz$/.test(name));
const stored = () =>
  (agent.rows("SELECT body FROM reports WHERE kind = 'copy' ORDER BY seq") as { body: string }[])
    .map(({ body }) => JSON.parse(body) as { key: string; state: string })
    .map(({ key, state }) => `${state} ${key}`);
async function found(stem: string, store: string, state: 'corrupt' | 'missing'): Promise<void> {
  const databaseId = agent.databaseId();
  for (const opened of await host.storesOf(database(), [store])) {
    const { storeId } = opened.store;
    host.journal.copies.found({ databaseId, backupId: newId(1), storeId, key: `${stem}.sql.gz`, state, problems: [] });
  }
}

test('what a store missed while it was away is made when it is back, the oldest first, and once', async () => {
  away();
  const stems = [await made(5), await made(3), await made(1)];
  await keeper.look(signal);
  expect(said).toEqual([
    expect.stringMatching(/^could not make missing copies in other, and tries again in 1 min: .* a file stands/),
  ]);
  await keeper.look(signal);
  expect(said).toHaveLength(1);
  back();
  now += hour;
  await keeper.look(signal);
  expect(said.slice(1)).toEqual(
    stems.map((stem) => `${stem}.sql.gz was copied from local to other, where it had been missing`),
  );
  for (const name of [...stems.map((stem) => `${stem}.sql.gz`), `${stems[2]}.manifest.json`]) {
    expect(readFileSync(join(other, name))).toEqual(readFileSync(join(agent.backups, name)));
  }
  expect(readFileSync(join(other, 'LATEST.sql.gz'))).toEqual(readFileSync(join(other, `${stems[2]}.sql.gz`)));
  expect(stored()).toEqual(stems.map((stem) => `stored ${stem}.sql.gz`));
  const runs = host.journal.madeOf(agent.databaseId(), 10);
  expect(
    runs.flatMap(({ detail }) => detail.copies ?? []).every((copy) => 'state' in copy && copy.state === 'stored'),
  ).toBe(true);
  now += hour;
  await keeper.look(signal);
  expect(said).toHaveLength(4);
});

test('none is made that retention would remove at once', async () => {
  back();
  await made(24 * 20);
  const young = await made(1);
  await keeper.look(signal);
  expect(dumps()).toEqual([`${young}.sql.gz`]);
});

test('of a copy that is not whole any more none is made, and it is mended itself from one that is', async () => {
  back();
  const stem = await made(1);
  const local = join(agent.backups, `${stem}.sql.gz`);
  const whole = readFileSync(local);
  writeFileSync(local, 'x'.repeat(30));
  await keeper.look(signal);
  expect([said, dumps()]).toEqual([
    [expect.stringMatching(/^could not make app_.* in other.*its SHA-256 differs/)],
    [],
  ]);
  expect(stored()).toEqual([`corrupt ${stem}.sql.gz`]);
  // No good one is left: nothing is tried any more.
  now += hour;
  await keeper.look(signal);
  expect(said).toHaveLength(1);
  // Another host's hand puts the good one back; the other copy is made, and is worth as much.
  writeFileSync(local, whole);
  agent.sql("UPDATE findings SET state = 'verified'");
  await keeper.look(signal);
  expect(dumps()).toEqual([`${stem}.sql.gz`]);
  for (const state of ['corrupt', 'missing'] as const) {
    if (state === 'corrupt') writeFileSync(local, 'y'.repeat(30));
    else renameSync(local, `${local}.gone`);
    await found(stem, 'local', state);
    now += hour;
    await keeper.look(signal);
    expect(readFileSync(local)).toEqual(whole);
  }
  expect(said.slice(-2)).toEqual(
    Array(2).fill(`${stem}.sql.gz was copied from other to local, where it had been missing`),
  );
});

test('a store that copies would be made from is said to be away, once until it was back', async () => {
  back();
  await made(1);
  const local = agent.backups;
  const wanted = expect.stringMatching(/^could not make copies from local, and tries again in 1 min: /);
  const awayFor = async (passes: number) => {
    renameSync(local, `${local}.away`);
    writeFileSync(local, '');
    for (let pass = 0; pass < passes; pass++) {
      await keeper.look(signal);
      now += hour;
    }
    rmSync(local);
    renameSync(`${local}.away`, local);
  };
  const saidOfLocal = () => said.filter((text) => text.startsWith('could not make copies from local'));
  await awayFor(3);
  expect([saidOfLocal(), dumps()]).toEqual([[wanted], []]);
  await keeper.look(signal);
  expect(dumps()).toHaveLength(1);
  await made(0);
  now += hour;
  await awayFor(2);
  expect(saidOfLocal()).toEqual([wanted, wanted]);
});

test('where LATEST cannot be put in its place the copy is made, and that is said', async () => {
  back();
  await claim('other');
  mkdirSync(join(other, 'LATEST.sql.gz'));
  const stem = await made(1);
  await keeper.look(signal);
  expect(dumps()).toEqual([`${stem}.sql.gz`]);
  expect(said.at(-1)).toMatch(/^other: the backup is stored, but LATEST or RECOVER.txt was not updated/);
});

test('what retention has removed from its source keeps none of the newer ones from being made', async () => {
  back();
  const [gone, there] = [await made(5), await made(1)];
  for (const end of ['sql.gz', 'manifest.json']) rmSync(join(agent.backups, `${gone}.${end}`));
  await keeper.look(signal);
  expect([dumps(), said.length]).toEqual([[`${there}.sql.gz`], 1]);
});

test('a manifest that is not the one that was made is made good with its dump', async () => {
  back();
  const stem = await made(1);
  await keeper.look(signal);
  writeFileSync(join(other, `${stem}.manifest.json`), '{}');
  await found(stem, 'other', 'corrupt');
  now += hour;
  await keeper.look(signal);
  const name = `${stem}.manifest.json`;
  expect(readFileSync(join(other, name))).toEqual(readFileSync(join(agent.backups, name)));
});

test('one that was cut short is finished', async () => {
  back();
  const stem = await made(1);
  // Killed between dump and manifest; the manifest is the last word.
  await claim('other');
  writeFileSync(join(other, `${stem}.sql.gz`), readFileSync(join(agent.backups, `${stem}.sql.gz`)));
  await keeper.look(signal);
  expect(readdirSync(other)).toContain(`${stem}.manifest.json`);
});

test('a manifest that this host did not write is copied nowhere', async () => {
  back();
  const stem = await made(1);
  const manifest = join(agent.backups, `${stem}.manifest.json`);
  writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('db1', 'db2'));
  await keeper.look(signal);
  expect([said, dumps()]).toEqual([[expect.stringMatching(/is not the manifest that this host wrote/)], []]);
});

test('told to stop in the middle of a copy it says nothing, and the next start makes it', async () => {
  back();
  const stem = await made(1);
  const stop = new AbortController();
  const reason = new AgentError('Interrupted', 'Interrupted by SIGTERM.');
  const { journal } = host;
  const { knowsManifest } = journal;
  journal.knowsManifest = (...asked) => {
    stop.abort(reason);
    return knowsManifest.apply(journal, asked);
  };
  await expect(keeper.look(stop.signal)).rejects.toBe(reason);
  expect([said, dumps()]).toEqual([[], []]);
  await keeper.look(signal);
  expect(dumps()).toEqual([`${stem}.sql.gz`]);
});
