import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres, type PostgresCluster } from '@strideiq/testkit';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AgentHost, during, type RunningAgent } from './agent-host.ts';
import { databasesOf, journalOf } from './raw-state.ts';

/**
 * SIGKILL at each step of a restore in place. The name always answers afterwards, with whole data; the agent's next start
 * finishes the restore or takes it back, starts the application where it had been stopped, and tells the truth.
 */

let cluster: PostgresCluster;
let host: AgentHost;
let directory: string;

beforeAll(async () => {
  cluster = await startPostgres();
});
afterAll(async () => {
  await cluster?.stop();
});

/** Writes down that it was run; waits as long as a file says so; fails where another one does. */
const hook = (name: string) => [
  'sh',
  '-c',
  `echo ${name} $STRIDEIQ_OUTCOME >> '${file('marks')}'; at='${file(name)}'.\${STRIDEIQ_OUTCOME:-begun}
   while [ -e "$at.waits" ]; do sleep 0.05; done; [ ! -e "$at.fails" ]`,
];
const file = (name: string) => join(directory, name);
const says = (name: string) => writeFileSync(file(name), '');
const takenBack = (name: string) => rmSync(file(name));
const marked = () => (existsSync(file('marks')) ? readFileSync(file('marks'), 'utf8').trim().split('\n') : []);

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-marks-'));
  await cluster.createDatabase('app');
  await cluster.query(
    'app',
    `CREATE TABLE generation AS SELECT 1 AS n;
     CREATE TABLE ledger AS SELECT n AS id, md5(n::text) AS note FROM generate_series(1, 1000) AS n`,
  );
  const hooks = Object.fromEntries(['beforeSwap', 'afterSwap', 'afterRestore'].map((name) => [name, hook(name)]));
  host = new AgentHost({ cluster, database: 'app', hooks });
  await host.json('backup');
  await cluster.query(
    'app',
    'UPDATE generation SET n = 2; INSERT INTO ledger SELECT n, md5(n::text) FROM generate_series(1001, 1500) AS n',
  );
});
afterEach(async () => {
  host.remove();
  // What waits for a file to go is let go by that.
  rmSync(directory, { recursive: true, force: true });
  for (const name of await databasesOf(cluster)) if (/^(app|strideiq_)/.test(name)) await cluster.dropDatabase(name);
});

/** What the name answers: which data, and all of them. */
async function answers(): Promise<'old' | 'new'> {
  const [row] = await cluster.query<{ n: number; rows: number }>(
    'app',
    'SELECT n, (SELECT count(*)::int FROM ledger) AS rows FROM generation',
  );
  expect([
    [2, 1500],
    [1, 1000],
  ]).toContainEqual([row?.n, row?.rows]);
  return row?.n === 2 ? 'old' : 'new';
}

const kept = async (what: string) => (await databasesOf(cluster)).filter((name) => name.startsWith(`app_${what}_`));
const scratch = async () => (await databasesOf(cluster)).filter((name) => name.startsWith('strideiq_'));

const start = () => host.start('restore', 'latest', '--in-place', '--yes', '--no-safety-backup');
async function killed({ process, result }: RunningAgent): Promise<void> {
  process.kill('SIGKILL');
  await result;
}

/** The run that was killed, as the journal has it once the agent was there again. */
async function afterwards() {
  const { stderr } = await host.run('backup');
  const run = journalOf(host).findLast(({ kind }) => kind === 'restore');
  expect(await scratch()).toEqual([]);
  return { state: run?.state, said: stderr };
}

/** Another session that has a hand on the database: a rename waits for it. */
async function held<T>(name: string, work: () => Promise<T>): Promise<T> {
  const holder = await cluster.connect('postgres');
  try {
    await holder.query(`BEGIN; COMMENT ON DATABASE ${name} IS 'held'`);
    return await work();
  } finally {
    await holder.query('ROLLBACK');
    await holder.end();
  }
}
const waitsToRename = async () =>
  (
    await cluster.query(
      'postgres',
      "SELECT FROM pg_stat_activity WHERE query LIKE 'ALTER DATABASE%RENAME%' AND wait_event_type = 'Lock'",
    )
  ).length > 0;

describe('before the names change hands it is taken back:', () => {
  test('while the replaced database is backed up', async () => {
    const holder = await cluster.connect('app');
    await holder.query('BEGIN; LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE');
    const agent = host.start('restore', 'latest', '--in-place', '--yes');
    await during(agent, 'the backup', () => journalOf(host).at(-1)?.kind === 'backup' && journalOf(host).length === 3);
    await killed(agent);
    await holder.end();
    const { state, said } = await afterwards();
    expect([state, await answers(), marked()]).toEqual(['failed', 'old', []]);
    expect(said).toMatch(/\(backup\) failed/);
  });

  test('while rows are loaded', async () => {
    await cluster.query(
      'app',
      `CREATE FUNCTION waits() RETURNS boolean LANGUAGE plpgsql AS
         'BEGIN IF current_database() <> ''app'' THEN PERFORM pg_sleep(3600); END IF; RETURN true; END';
       CREATE TABLE slow (a int CHECK (waits())); INSERT INTO slow VALUES (1)`,
    );
    await host.json('backup');
    const agent = start();
    await during(agent, 'the load', async () => {
      const sql = "SELECT FROM pg_stat_activity WHERE query LIKE 'COPY%' AND wait_event = 'PgSleep'";
      return (await cluster.query('postgres', sql)).length > 0;
    });
    await killed(agent);
    const { state } = await afterwards();
    expect([state, await answers(), marked()]).toEqual(['failed', 'old', []]);
  });

  test('while the new database is filled', async () => {
    says('afterRestore.begun.waits');
    const agent = start();
    await during(agent, 'the hook', () => marked().includes('afterRestore'));
    await killed(agent);
    expect(await answers()).toBe('old');
    const { state, said } = await afterwards();
    expect([state, await answers(), await kept('before')]).toEqual(['failed', 'old', []]);
    expect(said).toMatch(
      /ended before the restore in place of app had replaced it.*half-restored database was dropped/,
    );
    // Nothing had been stopped.
    expect(marked()).toEqual(['afterRestore']);
  });

  test('while the application is stopped', async () => {
    says('beforeSwap.begun.waits');
    const agent = start();
    await during(agent, 'the hook', () => marked().includes('beforeSwap'));
    await killed(agent);
    expect(await answers()).toBe('old');
    const { state } = await afterwards();
    expect([state, await answers(), await kept('before')]).toEqual(['failed', 'old', []]);
    expect(marked().slice(1)).toEqual(['beforeSwap', 'afterSwap kept']);
  });

  test('while it waits for the name', async () => {
    await held('app', async () => {
      const agent = start();
      await during(agent, 'the rename', waitsToRename);
      await killed(agent);
    });
    expect(await answers()).toBe('old');
    const { state } = await afterwards();
    expect([state, await answers(), await kept('before')]).toEqual(['failed', 'old', []]);
    expect(marked().slice(1)).toEqual(['beforeSwap', 'afterSwap kept']);
  });
});

describe('after that it is finished:', () => {
  test('between the last word of the swap and the next line of the journal', async () => {
    says('afterSwap.replaced.waits');
    const agent = start();
    await during(agent, 'the hook', () => marked().includes('afterSwap replaced'));
    await killed(agent);
    // As it stood a moment before: the names are told by the server alone.
    const journal = new Database(join(host.stateDirectory, 'journal.db'));
    journal.exec(
      `UPDATE runs SET detail = json_remove(json_set(detail, '$.inPlace.step', 'swapping'), '$.hook') WHERE state = 'running'`,
    );
    journal.close();
    takenBack('afterSwap.replaced.waits');
    const { state } = await afterwards();
    expect([state, await answers(), (await kept('before')).length]).toEqual(['succeeded', 'new', 1]);
  });

  test('while the application is started', async () => {
    says('afterSwap.replaced.waits');
    const agent = start();
    await during(agent, 'the hook', () => marked().includes('afterSwap replaced'));
    await killed(agent);
    expect(await answers()).toBe('new');
    takenBack('afterSwap.replaced.waits');
    const { state, said } = await afterwards();
    expect([state, await answers()]).toEqual(['succeeded', 'new']);
    expect(said).toMatch(/ended just after app was replaced; the rest was done at the next start/);
    expect(marked().slice(2)).toEqual(['afterSwap replaced', 'afterSwap replaced']);
    expect(await kept('before')).toHaveLength(1);
    await host.json('restore', 'undo', '--yes');
    expect(await answers()).toBe('old');
  });

  test('or taken back then, where the application does not start', async () => {
    says('afterSwap.replaced.waits');
    says('afterSwap.replaced.fails');
    const agent = start();
    await during(agent, 'the hook', () => marked().includes('afterSwap replaced'));
    await killed(agent);
    takenBack('afterSwap.replaced.waits');
    const { state, said } = await afterwards();
    expect([state, await answers()]).toEqual(['failed', 'old']);
    expect(said).toMatch(/the application did not start on it, so it was taken back/);
    expect(marked().at(-1)).toBe('afterSwap kept');
    expect([await kept('before'), (await kept('undone')).length]).toEqual([[], 1]);
  });

  test('while it waits to take itself back', async () => {
    says('afterSwap.replaced.waits');
    says('afterSwap.replaced.fails');
    const agent = start();
    await during(agent, 'the hook', () => marked().includes('afterSwap replaced'));
    await held('app', async () => {
      takenBack('afterSwap.replaced.waits');
      await during(agent, 'the rename', waitsToRename);
      await killed(agent);
    });
    expect(await answers()).toBe('new');
    const { state } = await afterwards();
    expect([state, await answers()]).toEqual(['failed', 'old']);
    expect([await kept('before'), (await kept('undone')).length]).toEqual([[], 1]);
  });

  test('when it has just taken itself back', async () => {
    says('afterSwap.replaced.fails');
    says('afterSwap.kept.waits');
    const agent = start();
    await during(agent, 'the hook once more', () => marked().includes('afterSwap kept'));
    await killed(agent);
    takenBack('afterSwap.kept.waits');
    expect(await answers()).toBe('old');
    const { state, said } = await afterwards();
    expect([state, await answers()]).toEqual(['failed', 'old']);
    expect(said).toMatch(/The restore was taken back, since the application did not start on it/);
    expect(marked().slice(-2)).toEqual(['afterSwap kept', 'afterSwap kept']);
  });
});

describe('an undo', () => {
  beforeEach(async () => {
    await host.json('restore', 'latest', '--in-place', '--yes', '--no-safety-backup');
    rmSync(file('marks'));
  });

  test('killed before the names change hands is taken back', async () => {
    says('beforeSwap.begun.waits');
    const agent = host.start('restore', 'undo', '--yes');
    await during(agent, 'the hook', () => marked().includes('beforeSwap'));
    await killed(agent);
    expect(await answers()).toBe('new');
    const { state, said } = await afterwards();
    expect([state, await answers(), (await kept('before')).length]).toEqual(['failed', 'new', 1]);
    expect(said).toMatch(/ended before the undo of app had replaced it.*still called app_before_/);
    expect(marked()).toEqual(['beforeSwap', 'afterSwap kept']);
  });

  test('killed after that is finished', async () => {
    says('afterSwap.replaced.waits');
    const agent = host.start('restore', 'undo', '--yes');
    await during(agent, 'the hook', () => marked().includes('afterSwap replaced'));
    await killed(agent);
    expect(await answers()).toBe('old');
    takenBack('afterSwap.replaced.waits');
    const { state } = await afterwards();
    expect([state, await answers(), (await kept('undone')).length]).toEqual(['succeeded', 'old', 1]);
  });
});
