import { newId } from '@strideiq/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Job } from '../commands/run-queue.ts';
import type { Host } from '../compose.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { Scheduler } from './scheduler.ts';

const minute = 60_000;
const hour = 60 * minute;
const at = (time: string) => Date.parse(`2026-01-11T${time}Z`);

let agent: TestAgent;
let host: Host;
let now: number;
let jobs: Job[];
/** Runs that wait, or are under way. */
let queued: Set<string>;
let said: string[];

async function agentWith(more: object): Promise<void> {
  agent = new TestAgent({
    controlPlane: new ScriptedControlPlane(),
    databases: { app: { connection: { host: '127.0.0.1', port: 1, user: 'nobody' }, stores: ['local'], ...more } },
    stores: { other: { type: 'directory', path: './other' } },
    now: () => now,
  });
  host = await agent.open();
}

/** As after a start of the agent: nothing is known but what is written down. */
function scheduler(): Scheduler {
  const say = (text: string) => void said.push(text);
  const events = { info: say, warn: say, error: say };
  queued = new Set();
  const queue = {
    add: (job: Job) => {
      jobs.push(job);
      queued.add(job.runId);
    },
    hasRun: (runId: string) => queued.has(runId),
    withdraw: (runId: string) => void queued.delete(runId),
  };
  const made = new Scheduler({ host, queue, events });
  return made;
}

/** What the queue does with the last job. */
function ends(state: 'succeeded' | 'failed', code = 'X'): void {
  const job = jobs.at(-1);
  if (!job) throw new Error('no job');
  const { runId, database } = job;
  const run = { id: runId, kind: 'backup' as const, environment: 'test', database: database.name, detail: {} };
  host.journal.begin({ ...run, databaseId: agent.databaseId() });
  host.journal.finish(runId, state, {}, state === 'failed' ? { code, text: 'why' } : undefined);
  queued.delete(runId);
}

/** Looks once each half minute. */
function watch(of: Scheduler, until: number): void {
  for (; now < until; now += 30_000) of.look();
  now = until;
  of.look();
}

/** What is due beside backups has tests of its own below. */
const quiet = { verify: { schedule: 'never' } };

const due = () => jobs.map(({ dueAt = 0 }) => new Date(dueAt).toISOString().slice(5, 16));

beforeEach(() => {
  now = at('12:00:10');
  jobs = [];
  said = [];
});
afterEach(async () => {
  host.close();
  await agent.remove();
});

describe('with a schedule each hour', () => {
  beforeEach(async () => agentWith({ ...quiet, schedule: '0 * * * *' }));

  test('a backup is due at its moment, and once', () => {
    const running = scheduler();
    watch(running, at('14:10'));
    expect(due()).toEqual(['01-11T13:00', '01-11T14:00']);
    expect(jobs[0]).toMatchObject({ kind: 'backup', databaseId: agent.databaseId(), database: { name: 'app' } });
    expect(said).toContainEqual('the backup of app is due (0 * * * *)');
  });

  test('what is due is written down before it is begun, and taken up by the next start', () => {
    watch(scheduler(), at('13:01'));
    const [first] = jobs.splice(0);
    now = at('13:02');
    const next = scheduler();
    next.look();
    expect(jobs.map(({ runId, dueAt }) => [runId, dueAt])).toEqual([[first?.runId, at('13:00')]]);
    next.look();
    expect(jobs).toHaveLength(1);
    ends('succeeded');
    next.look();
    expect(host.journal.schedules.due()).toEqual([]);
  });

  test('of a database that its server has no more nothing is due; once it is there again what it missed is made', async () => {
    host.close();
    await agent.remove();
    agent = new TestAgent({
      controlPlane: new ScriptedControlPlane(),
      databases: { main: { ...quiet, include: 'all', stores: ['each'], schedule: '0 * * * *' } },
      stores: { each: { type: 'directory', path: './{database}' } },
      now: () => now,
    });
    host = await agent.open();
    const { foundDatabases } = host.journal;
    const found = (...names: string[]) => {
      foundDatabases.found('main', names, () => false, now);
      host.discovery.recall();
    };
    const running = scheduler();
    watch(running, at('12:30'));
    found('app', 'web');
    watch(running, at('13:01'));
    expect(jobs.map(({ database }) => database.name).toSorted()).toEqual(['app', 'web']);
    found('app');
    queued.clear();
    watch(running, at('15:01'));
    expect(host.journal.schedules.due().map(({ databaseId }) => databaseId)).toEqual([agent.databaseId('app')]);
    jobs.length = 0;
    found('app', 'web');
    watch(running, at('15:02'));
    expect(jobs.filter(({ database }) => database.name === 'web')).toMatchObject([{ dueAt: at('15:00') }]);
  });

  test('one that was killed is waited for, and made anew', () => {
    const running = scheduler();
    watch(running, at('13:01'));
    const { runId = '' } = jobs[0] ?? {};
    const run = { id: runId, kind: 'backup' as const, environment: 'test', database: 'app', detail: {} };
    host.journal.begin({ ...run, databaseId: agent.databaseId() });
    const next = scheduler();
    watch(next, at('13:05'));
    expect(jobs).toHaveLength(1);
    host.journal.finish(runId, 'failed', {}, { code: 'AgentDied', text: 'killed' });
    watch(next, at('13:07'));
    expect(jobs.map(({ dueAt }) => dueAt)).toEqual([at('13:00'), at('13:00')]);
    expect(jobs[1]?.runId).not.toBe(runId);
  });

  test('what failed for a passing reason is tried again, later each time, and not for ever; another reason stays', () => {
    const running = scheduler();
    watch(running, at('13:00:10'));
    const begun: number[] = [];
    for (; now < at('13:59'); now += 10_000) {
      running.look();
      if (!queued.has(jobs.at(-1)?.runId ?? '') || begun.length === jobs.length) continue;
      begun.push(Math.floor((now - at('13:00')) / minute));
      ends('failed', 'ServerUnreachable');
    }
    expect(begun).toEqual([0, 1, 6, 21, 51]);
    now = at('14:00');
    running.look();
    expect(jobs.at(-1)?.dueAt).toBe(at('14:00'));
    const count = jobs.length;
    ends('failed', 'PgDumpTooOld');
    watch(running, at('14:50'));
    expect(jobs).toHaveLength(count);
  });

  test('while one takes for hours no more than one waits behind it', () => {
    const running = scheduler();
    watch(running, at('18:30'));
    expect(jobs.map(({ dueAt }) => dueAt)).toEqual([13, 14, 15, 16, 17, 18].map((hours) => at(`${hours}:00`)));
    expect([...queued]).toEqual([jobs.at(-1)?.runId]);
    expect(host.journal.schedules.due()).toHaveLength(1);
  });

  test('of those that were missed the last is made late', () => {
    watch(scheduler(), at('13:01'));
    ends('succeeded');
    now = at('17:30');
    scheduler().look();
    expect(due()).toEqual(['01-11T13:00', '01-11T17:00']);
    expect(said).toContainEqual('the backup of app was missed at 2026-01-11T17:00:00.000Z, and is made now');
  });

  test('a clock that is set back brings none again, and one that was far ahead silences nothing', () => {
    const running = scheduler();
    watch(running, at('14:10'));
    now = at('12:30');
    watch(running, at('15:10'));
    expect(due()).toEqual(['01-11T13:00', '01-11T14:00', '01-11T15:00']);
    now += 400 * 24 * hour;
    running.look();
    now -= 400 * 24 * hour;
    jobs = [];
    watch(running, at('17:10'));
    expect(due()).toEqual(['01-11T16:00', '01-11T17:00']);
  });

  test('a disk that is full has nothing begun, and nothing lost', () => {
    const running = scheduler();
    watch(running, at('12:59'));
    const { follow } = host.journal.schedules;
    host.journal.schedules.follow = () => {
      throw new Error('database or disk is full');
    };
    now = at('13:00:01');
    expect(() => running.look()).toThrow('full');
    expect(jobs).toEqual([]);
    host.journal.schedules.follow = follow;
    now = at('13:00:31');
    running.look();
    expect(due()).toEqual(['01-11T13:00']);
  });
});

test('what failed is tried again also where nothing is made late', async () => {
  await agentWith({ ...quiet, schedule: '0 13 * * *', catchUp: false });
  const running = scheduler();
  watch(running, at('13:00:30'));
  now = at('13:10');
  ends('failed', 'ServerUnreachable');
  watch(running, at('13:12'));
  expect(due()).toEqual(['01-11T13:00', '01-11T13:00']);
  ends('failed', 'ServerUnreachable');
  running.look();
  // The host is away when the next attempt is to be made, and for longer than anything may be late.
  now += 24 * hour - 30 * minute;
  scheduler().look();
  expect([jobs, host.journal.schedules.due()]).toMatchObject([[{}, {}], []]);
});

test('one that is not to be made late is not, nor one that was missed for too long', async () => {
  await agentWith({ ...quiet, schedule: '0 3 * * *', catchUpLimit: '6h' });
  scheduler().look();
  now += 22 * hour;
  scheduler().look();
  expect([due(), said.at(-1)]).toEqual([
    [],
    expect.stringMatching(/due at 2026-01-12T03:00.* was missed, and that is too long ago/),
  ]);
  now = Date.parse('2026-01-13T08:00Z');
  scheduler().look();
  expect(due()).toEqual(['01-13T03:00']);
  // Nor is one that was planned before the host was away for so long.
  now += 7 * hour;
  jobs = [];
  scheduler().look();
  expect([due(), host.journal.schedules.due()]).toEqual([[], []]);
  host.close();
  await agent.remove();
  await agentWith({ ...quiet, schedule: '0 3 * * *', catchUp: false });
  scheduler().look();
  now += 24 * hour;
  scheduler().look();
  expect([due(), said.at(-1)]).toEqual([[], expect.stringMatching(/not to be made late \(catchUp\)/)]);
});

test('each line of a schedule is followed for itself; one that is taken out is forgotten', async () => {
  await agentWith({ ...quiet, schedule: ['0 * * * *', '30 12 * * *'] });
  watch(scheduler(), at('13:10'));
  expect(due()).toEqual(['01-11T12:30', '01-11T13:00']);
  const gone = `${newId(1)} UTC * * * * *`;
  host.journal.schedules.follow(gone, { seenAt: 1, moments: [] });
  scheduler().look();
  expect(host.journal.schedules.followed(gone)).toBeUndefined();
  expect(host.journal.schedules.followed(`${agent.databaseId()} UTC 0 * * * *`)).toBeDefined();
});

test('lines may be for some of the stores, and those that wait for the same run are made as one', async () => {
  const stores = { stores: ['local', 'other'] };
  const lines = [
    { cron: '0 * * * *', stores: ['local'] },
    { cron: '30 12 * * *', stores: ['other'] },
    { cron: '0 15 * * *' },
  ];
  await agentWith({ ...stores, ...quiet, schedule: lines });
  const running = scheduler();
  watch(running, at('12:31'));
  expect(jobs.at(-1)?.stores).toEqual(['other']);
  // It has not begun.
  watch(running, at('13:01'));
  expect([jobs.at(-1)?.stores, [...queued]]).toEqual([['local', 'other'], [jobs.at(-1)?.runId]]);
  ends('succeeded');
  watch(running, at('14:01'));
  expect(jobs.at(-1)?.stores).toEqual(['local']);
  watch(running, at('15:01'));
  expect(jobs.at(-1)?.stores).toBeUndefined();
  watch(running, at('16:01'));
  expect(jobs.at(-1)?.stores).toBeUndefined();
});

test('lines of one moment for different stores are made, each of them', async () => {
  const lines = ['local', 'other'].map((store) => ({ cron: '0 13 * * *', stores: [store] }));
  await agentWith({ stores: ['local', 'other'], ...quiet, schedule: lines });
  watch(scheduler(), at('13:01'));
  expect([jobs.at(-1)?.stores, [...queued]]).toEqual([['local', 'other'], [jobs.at(-1)?.runId]]);
});

test('copies are read back weekly, backups drilled when that is asked for, and neither stands in the way of a backup', async () => {
  await agentWith({ schedule: '0 6 * * *', drill: { schedule: '0 6 * * *' } });
  const running = scheduler();
  // The 11th is a Sunday.
  watch(running, at('12:00:10') + 7 * 24 * hour);
  const made = jobs.map(({ kind, dueAt = 0 }) => `${kind} ${new Date(dueAt).toISOString().slice(5, 16)}`);
  expect(made.filter((each) => each.startsWith('verify'))).toEqual(['verify 01-18T05:30']);
  expect(made.filter((each) => each.endsWith('01-12T06:00'))).toEqual(['backup 01-12T06:00', 'drill 01-12T06:00']);
  expect(
    host.journal.schedules
      .due()
      .map(({ kind }) => kind)
      .toSorted(),
  ).toEqual(['backup', 'drill', 'verify']);
  expect(said).toContainEqual('the verify of app is due (30 5 * * 0)');
});

test('nothing is read back where no backup is made by itself', async () => {
  await agentWith({});
  watch(scheduler(), at('12:00:10') + 8 * 24 * hour);
  expect(jobs).toEqual([]);
});

test('a pause holds back what is due until its end, and longer what is too late by then', async () => {
  const pause = { reason: 'a move', until: '2026-01-11T15:30:00Z' };
  await agentWith({ schedule: '0 * * * *', ...quiet, pause });
  const running = scheduler();
  watch(running, at('15:29'));
  expect(jobs).toEqual([]);
  watch(running, at('15:31'));
  expect(due()).toEqual(['01-11T15:00']);
  host.close();
  await agent.remove();
  jobs = [];
  now = at('12:00:10');
  await agentWith({ schedule: '0 13 * * *', ...quiet, pause, catchUpLimit: '1h' });
  watch(scheduler(), at('16:00'));
  expect(jobs).toEqual([]);
});

test('jitter makes each later, by no more than it says', async () => {
  await agentWith({ ...quiet, schedule: '0 * * * *', jitter: '20m' });
  const running = scheduler();
  const begun: number[] = [];
  for (; now < at('12:40') + 24 * hour; now += 10_000) {
    const before = jobs.length;
    running.look();
    if (jobs.length > before) begun.push(now % hour);
  }
  // That of twelve o'clock too: its delay had not passed when it was first looked.
  expect(due()).toHaveLength(25);
  expect(Math.min(...begun)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...begun)).toBeLessThanOrEqual(20 * minute + 10_000);
  expect(new Set(begun.map((ms) => Math.floor(ms / minute))).size).toBeGreaterThan(8);
});
