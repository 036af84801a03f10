import { describe, expect, test } from 'vitest';
import { policySchema, type Policy } from '../policy.ts';
import type { DatabaseFacts, GoodBackup, StoreFacts } from './database-facts.ts';
import { judgeDatabase } from './judge-database.ts';
import type { RuleName } from './rules.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const now = Date.parse('2026-01-14T12:00:00Z');

const backup = (age: number, more: Partial<GoodBackup> = {}): GoodBackup => ({
  id: `backup-${age}`,
  endedAt: now - age,
  dataAt: now - age - minute,
  bytes: 1000,
  comparison: null,
  ...more,
});

const store = (more: Partial<StoreFacts> = {}): StoreFacts => ({
  id: 'store-1',
  name: 's3',
  type: 's3',
  firstSeenAt: now - 30 * day,
  freeBytes: undefined,
  error: undefined,
  copyFailed: undefined,
  damaged: [],
  verifiedAt: now - day,
  newestUnverifiedAt: null,
  oldestCopyAt: now - 30 * day,
  newestDataAt: now - 9 * hour,
  retentionWaits: null,
  drift: { wrong: [], strange: [] },
  ...more,
});

function policy(more: Record<string, unknown> = {}): Policy {
  return policySchema.parse({ schedule: '0 3 * * *', ...more });
}

/** A database of which all is well. */
const facts = (more: Partial<DatabaseFacts> = {}): DatabaseFacts => ({
  id: '1',
  name: 'app',
  policy: policy(),
  policySince: now - 30 * day,
  firstSeenAt: now - 30 * day,
  connectedSince: now - 3 * day,
  good: [1, 2, 3, 4].map((days) => backup(days * day - 15 * hour)),
  lastBackup: { state: 'succeeded', endedAt: now - 9 * hour, error: null },
  lastBegunAt: now - 9 * hour,
  lastDrill: undefined,
  lastGoodDrillAt: undefined,
  openRuns: [],
  usualMs: () => 5 * minute,
  measured: { wholeMs: 10 * minute, tablesMs: undefined },
  serverError: undefined,
  pgDumpProblem: undefined,
  stores: [store(), store({ id: 'store-2', name: 'local', type: 'directory', freeBytes: 50e9 })],
  ...more,
});

const holding = (given: DatabaseFacts, at = now): RuleName[] =>
  judgeDatabase(given, at).flatMap(({ rule, holds }) => (holds === true ? [rule] : []));
const said = (given: DatabaseFacts, rule: RuleName, at = now) =>
  judgeDatabase(given, at).filter((each) => each.rule === rule && each.holds !== false);

test('nothing holds where all is well', () => {
  expect(holding(facts())).toEqual([]);
  expect(judgeDatabase(facts(), now).filter(({ holds }) => holds === 'unknown')).toEqual([]);
});

test('a rule that is off holds never', () => {
  const off = policy({ alerts: { off: ['noBackup', 'rpoBroken'] } });
  expect(holding(facts({ good: [], policy: off, stores: [] }))).toEqual([]);
});

describe('no backup', () => {
  const last = now - 25 * hour;
  test('holds from 25 hours on after the last that succeeded, and says how old it is', () => {
    const given = facts({ good: [backup(25 * hour)], stores: [store({ newestDataAt: last })] });
    expect(said(given, 'noBackup')).toEqual([]);
    expect(said(given, 'noBackup', now + 1000)).toMatchObject([{ text: expect.stringContaining('25 h') as string }]);
  });
  test('follows the strictest objective', () => {
    const given = policy({ objectives: { dataDeletion: { rpoMs: hour } } });
    expect(holding(facts({ policy: given }))).toContain('noBackup');
  });
  test('counts from the day that the database is known, and says why nothing is done', () => {
    const pause = { reason: 'a migration', until: new Date(now + day).toISOString() };
    const given = facts({ good: [], firstSeenAt: now - 2 * day, policy: policy({ pause }) });
    expect(said(given, 'noBackup')).toMatchObject([
      { text: expect.stringMatching(/ever succeeded.*a migration/) as string },
    ]);
    expect(said(facts({ good: [], firstSeenAt: now - day }), 'noBackup')).toEqual([]);
  });
  test('needs an objective', () => {
    const none = { rpoMs: null };
    const objectives = { databaseCorruption: none, infrastructureFailure: none, dataDeletion: none };
    expect(holding(facts({ good: [], policy: policy({ objectives }) }))).toEqual([]);
  });
});

test.each(['failed', 'lost', 'expired'] as const)('a backup that %s is told of until one succeeds', (state) => {
  const lastBackup = { state, endedAt: now - hour, error: 'the disk is full' };
  expect(said(facts({ lastBackup }), 'backupFailed')).toMatchObject([
    { text: expect.stringContaining('disk is full') as string },
  ]);
  expect(said(facts({ lastBackup, good: [backup(minute)] }), 'backupFailed')).toEqual([]);
});

describe('a small backup', () => {
  const sized = (...sizes: number[]) => facts({ good: sizes.map((bytes, at) => backup(at * day + hour, { bytes })) });
  test('is one below half the median of those before it', () => {
    expect(holding(sized(499, 1000, 1000, 1000))).toEqual(['backupSmall']);
    expect(holding(sized(501, 1000, 1000, 1000))).toEqual([]);
    expect(holding(sized(499, 1000, 600, 400, 900, 1000))).toEqual([]);
  });
  test('or below the floor', () => {
    expect(holding(sized(0))).toEqual(['backupSmall']);
  });
  test('is not told from two', () => {
    expect(holding(sized(10, 1000, 1000))).toEqual([]);
  });
});

test('rows that a table lost, and what became of the schema', () => {
  const comparison = {
    against: 'the-one-before',
    rowsLost: [
      { table: 'public.a', before: 100, after: 49 },
      { table: 'public.b', before: 100, after: 51 },
    ],
    schema: { added: 1, removed: 0, changed: 2, examples: ['table public.c: new'] },
  };
  const given = facts({ good: [backup(hour, { comparison })] });
  expect(holding(given)).toEqual(['rowsLost', 'schemaChanged']);
  expect(said(given, 'rowsLost')[0]?.text).toBe('public.a has 49 rows and had 100.');
  expect(said(given, 'schemaChanged')[0]?.text).toContain('public.c');
});

describe('a backup that was not begun', () => {
  const missed = (more: Partial<DatabaseFacts> = {}) => facts({ lastBegunAt: now - 33 * hour, ...more });
  test('is told of where its host is there', () => {
    expect(said(missed(), 'scheduleMissed')[0]?.text).toContain('2026-01-14T03:00:00.000Z');
    expect(said(missed({ connectedSince: undefined }), 'scheduleMissed')[0]?.holds).toBe('unknown');
    expect(said(missed({ connectedSince: now - minute }), 'scheduleMissed')[0]?.holds).toBe('unknown');
  });
  test('is none while one is under way, while it is paused, and before its policy was in force', () => {
    const openRuns = [{ id: 'run', kind: 'backup', startedAt: now - 40 * hour, movedAt: now }];
    expect(said(missed({ openRuns }), 'scheduleMissed')).toEqual([]);
    const pause = { reason: 'why', until: new Date(now + day).toISOString() };
    expect(said(missed({ policy: policy({ schedule: '0 3 * * *', pause }) }), 'scheduleMissed')).toEqual([]);
    expect(said(missed({ policySince: now - hour }), 'scheduleMissed')).toEqual([]);
  });
  test('is given its jitter', () => {
    expect(said(missed({ policy: policy({ jitterMs: 10 * hour }) }), 'scheduleMissed')).toEqual([]);
  });
});

describe('a run', () => {
  const run = (more: object) =>
    facts({ openRuns: [{ id: 'r', kind: 'backup', startedAt: now - hour, movedAt: now, ...more }] });
  test('takes long beyond three times what is usual', () => {
    expect(holding(run({}))).toEqual(['runLong']);
    expect(holding(run({ startedAt: now - 14 * minute }))).toEqual([]);
    expect(holding({ ...run({}), usualMs: () => undefined })).toEqual([]);
  });
  test('is stuck once nothing of it moves, as far as anybody can see', () => {
    const still = run({ movedAt: now - 31 * minute });
    expect(holding(still)).toContain('runStuck');
    expect(said({ ...still, connectedSince: now - minute }, 'runStuck')[0]?.holds).toBe('unknown');
    expect(holding(run({ movedAt: now - 29 * minute }))).not.toContain('runStuck');
  });
});

test('what only its host knows is unknown while it is away', () => {
  const away = facts({
    connectedSince: undefined,
    serverError: null,
    pgDumpProblem: null,
    stores: [store({ error: null })],
  });
  const unknown = judgeDatabase(away, now).filter(({ holds }) => holds === 'unknown');
  expect(unknown.map(({ rule }) => rule)).toEqual(['scheduleMissed', 'serverAway', 'pgDumpOld', 'storeAway']);
  const broken = facts({
    serverError: 'no route',
    pgDumpProblem: 'too old',
    stores: [store({ error: 'no such bucket' })],
  });
  expect(holding(broken)).toEqual(['serverAway', 'pgDumpOld', 'storeAway']);
});

describe('a drill', () => {
  const weekly = policy({ drill: { schedule: '0 6 * * 0' } });
  test('that failed is told of until one succeeds', () => {
    const lastDrill = { state: 'failed' as const, endedAt: now - hour, error: 'row counts differ' };
    expect(holding(facts({ lastDrill }))).toEqual(['drillFailed']);
    expect(holding(facts({ lastDrill, lastGoodDrillAt: now }))).toEqual([]);
  });
  test('is overdue a day after its moment', () => {
    expect(holding(facts({ policy: weekly, lastGoodDrillAt: now - 5 * day }))).toEqual(['drillOverdue']);
    expect(holding(facts({ policy: weekly, lastGoodDrillAt: now - 2 * day }))).toEqual([]);
    expect(holding(facts({ policy: weekly, policySince: now - day }))).toEqual([]);
  });
});

describe('objectives', () => {
  test('what left the host last is too old', () => {
    expect(holding(facts({ stores: [store({ newestDataAt: now - 26 * hour })] }))).toEqual(['rpoBroken']);
  });
  test('nothing leaves the host', () => {
    const given = facts({ stores: [store({ type: 'directory', freeBytes: 50e9 })] });
    expect(said(given, 'rpoBroken')[0]?.text).toContain('No store of it is anywhere but on its host');
  });
  test('one trouble is not told twice', () => {
    const given = facts({ good: [backup(26 * hour)], stores: [store({ newestDataAt: now - 26 * hour })] });
    expect(holding(given)).toEqual(['noBackup']);
  });
  test('a schedule that cannot meet them is told of before it breaks them', () => {
    expect(said(facts({ policy: policy({ schedule: '0 3 * * 1-5' }) }), 'rpoAtRisk')[0]?.text).toContain('3 days');
    const lines = [
      { cron: '0 * * * *', stores: ['local'] },
      { cron: '0 3 * * 0', stores: ['s3'] },
    ];
    const text = said(facts({ policy: policy({ schedule: lines }) }), 'rpoAtRisk')[0]?.text;
    expect(text).toMatch(/^Full infrastructure failure: .* 7 days/);
    expect(holding(facts({ policy: policy({ schedule: '* * * * *' }) }))).not.toContain('rpoAtRisk');
  });
  test('a restore that took too long, or nearly', () => {
    const measured = (minutes: number, tables?: number) =>
      holding(
        facts({
          measured: { wholeMs: minutes * minute, tablesMs: tables === undefined ? undefined : tables * minute },
        }),
      );
    expect(measured(23)).toEqual([]);
    expect(measured(25)).toEqual(['rtoAtRisk']);
    expect(measured(31)).toEqual(['rtoBroken']);
    expect(measured(31, 2)).toEqual([]);
    expect(measured(61, 2)).toEqual(['rtoBroken']);
  });
});

describe('a store', () => {
  const local = (more: Partial<StoreFacts>) =>
    facts({ stores: [store(), store({ id: 'store-2', name: 'local', type: 'directory', freeBytes: 50e9, ...more })] });
  test('has too little room, by the threshold or for the next backup', () => {
    expect(said(local({ freeBytes: 9e9 }), 'diskLow')[0]?.text).toBe(
      'local has 9.0 GB left, and the least is 10.0 GB.',
    );
    const large = { ...local({ freeBytes: 60e9 }), good: [backup(hour, { bytes: 55e9 })] };
    expect(said(large, 'diskLow')[0]?.text).toContain('needs about 66.0 GB');
    expect(said(local({ freeBytes: undefined }), 'diskLow')[0]?.holds).toBe('unknown');
  });
  test('lacks the newest backup, or holds one that is damaged', () => {
    expect(holding(local({ copyFailed: 'the bucket is closed' }))).toEqual(['copyFailed']);
    const damaged = ['a', 'b', 'c', 'd'].map((key) => `${key} is corrupt.`);
    expect(said(local({ damaged }), 'verifyFailed')[0]?.text).toBe(
      'In local: a is corrupt. b is corrupt. c is corrupt. And 1 more.',
    );
  });
  test('was not read back', () => {
    expect(holding(local({ newestUnverifiedAt: now - 25 * hour }))).toEqual(['verifyOverdue']);
    expect(holding(local({ newestUnverifiedAt: now - 23 * hour }))).toEqual([]);
    const never = facts({ stores: [store({ verifiedAt: null })] });
    expect(holding(never)).toEqual(['verifyOverdue']);
    expect(holding({ ...never, policy: policy({ verify: { schedule: 'never' } }) })).toEqual([]);
    expect(holding(facts({ stores: [store({ verifiedAt: null, oldestCopyAt: now - day })] }))).toEqual([]);
  });
  test('waits for somebody, or differs from the catalog', () => {
    expect(holding(local({ retentionWaits: 'it would remove much' }))).toEqual(['retentionWaits']);
    expect(said(local({ drift: { wrong: ['x'], strange: ['y'] } }), 'drift')).toMatchObject([
      { text: 'In local: x y' },
    ]);
    expect(said(local({ drift: { wrong: [], strange: ['y'] } }), 'drift')).toMatchObject([{ severity: 'info' }]);
  });
});
