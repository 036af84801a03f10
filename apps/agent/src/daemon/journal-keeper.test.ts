import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Host } from '../compose.ts';
import { claimPrefix } from '../stores/prefix-owner.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { storeBackup, type StoredBackup } from '../testing/stored-backup.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { JournalKeeper } from './journal-keeper.ts';

/** Runs of backups that are older than what the journal keeps of itself, and stores that hold their copies or do not. */

const dayMs = 86_400_000;
let agent: TestAgent;
let host: Host;
let now: number;
let said: string[];
let keeper: JournalKeeper;
const signal = new AbortController().signal;

beforeEach(async () => {
  now = Date.parse('2026-03-01T12:00Z');
  said = [];
  agent = new TestAgent({
    controlPlane: new ScriptedControlPlane(),
    databases: {
      app: { connection: { host: '127.0.0.1', port: 1, user: 'nobody' }, stores: ['local', 'other'] },
    },
    stores: { other: { type: 'directory', path: 'other' } },
    now: () => now,
  });
  mkdirSync(join(agent.directory, 'other'), { mode: 0o700 });
  host = await agent.open();
  const say = (text: string) => void said.push(text);
  keeper = new JournalKeeper(host, { info: say, warn: say, error: say });
  const owner = { environment: 'test', database: 'app', databaseId: agent.databaseId() };
  for (const opened of await host.storesOf(database())) await claimPrefix(opened, owner, false);
});
afterEach(async () => {
  host.close();
  await agent.remove();
});

const database = () => host.configuration.databases['app'] ?? expect.unreachable();
const directory = (store: 'local' | 'other') => (store === 'local' ? agent.backups : join(agent.directory, 'other'));

/** A backup whose copies stand in these stores, and in none any more of the others that its run has put them into. */
async function made(...stores: ('local' | 'other')[]): Promise<StoredBackup> {
  now += 60_000;
  return storeBackup(host, { at: now, directories: stores.map(directory) });
}

/** Those by which the next backup is estimated. */
async function twentyMore(): Promise<void> {
  for (let n = 0; n < 20; n++) await made();
}
const isKnown = ({ runId, backupId, manifestSha256 }: StoredBackup) => {
  const known = host.journal.get(runId) !== undefined;
  expect(host.journal.knowsManifest(backupId, manifestSha256)).toBe(known);
  return known;
};

test('a backup that no store holds any more is let go of after a season; one that any store holds is known for as long', async () => {
  const gone = await made();
  const there = [await made('local'), await made('other'), await made('local', 'other')];
  await twentyMore();
  now += 89 * dayMs;
  await keeper.look(signal);
  expect([gone, ...there].map(isKnown)).toEqual([true, true, true, true]);
  now += 2 * dayMs;
  await keeper.look(signal);
  expect([gone, ...there].map(isKnown)).toEqual([false, true, true, true]);
  now += 400 * dayMs;
  await keeper.look(signal);
  expect(there.map(isKnown)).toEqual([true, true, true]);
  expect(said).toEqual([]);
});

test('a store that cannot be asked, or is not known to be this database’s, may hold what it does not show', async () => {
  const gone = await made();
  await twentyMore();
  now += 100 * dayMs;
  // A mount that is away: an empty folder.
  const owner = join(directory('other'), 'strideiq-owner.json');
  rmSync(owner);
  await keeper.look(signal);
  expect(isKnown(gone)).toBe(true);
  // And one that is none.
  rmSync(directory('other'), { recursive: true });
  writeFileSync(directory('other'), '');
  now += dayMs;
  await keeper.look(signal);
  expect(isKnown(gone)).toBe(true);
});

test('what was found of copies that are gone is let go of with them, and no sooner', async () => {
  const [gone, there] = [await made(), await made('local')];
  const databaseId = agent.databaseId();
  const foundIn = () => Object.values(agent.rows('SELECT key FROM findings ORDER BY key') as { key: string }[]);
  for (const { backupId, names } of [gone, there]) {
    for (const { store } of await host.storesOf(database(), ['local'])) {
      const copy = { databaseId, backupId, storeId: store.storeId, key: names.dump };
      host.journal.copies.found({ ...copy, state: 'verified', problems: [] });
    }
  }
  await twentyMore();
  await keeper.look(signal);
  expect(foundIn()).toHaveLength(2);
  now += 100 * dayMs;
  await keeper.look(signal);
  expect(foundIn()).toEqual([{ key: there.names.dump }]);
});

test('it is done once a day, and again at once where it failed', async () => {
  const old = async () => {
    const run = await made();
    host.journal.outbox.answered(
      host.journal.outbox.batchAfter(0).map(({ reportId }) => ({ reportId, answer: 'accepted' as const })),
    );
    return run;
  };
  await old();
  now += 31 * dayMs;
  agent.sql(`CREATE TRIGGER full BEFORE DELETE ON reports BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`);
  await expect(keeper.look(signal)).rejects.toThrow(/full/);
  agent.sql('DROP TRIGGER full');
  const reports = () => (agent.rows('SELECT count(*) AS n FROM reports') as { n: number }[])[0]?.n;
  expect(reports()).toBeGreaterThan(0);
  await keeper.look(signal);
  expect(reports()).toBe(0);
  await old();
  agent.sql('UPDATE reports SET answered_at = 0');
  await keeper.look(signal);
  expect(reports()).toBeGreaterThan(0);
  now += dayMs;
  await keeper.look(signal);
  expect(reports()).toBe(0);
});
