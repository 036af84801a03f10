import { expect, test } from 'vitest';
import { fittedPolicy, foreignPolicySchema, policyProblems, policySchema } from './policy.ts';

test('what is left out has its usual value', () => {
  expect(policySchema.parse({})).toEqual({
    schedule: [],
    timezone: 'UTC',
    jitterMs: 0,
    catchUp: true,
    catchUpLimitMs: 86_400_000,
    verify: { afterBackup: true, schedule: '30 5 * * 0' },
    drill: {},
    retention: {},
    objectives: {
      databaseCorruption: { rpoMs: 86_400_000, rtoMs: 3_600_000 },
      infrastructureFailure: { rpoMs: 86_400_000, rtoMs: 14_400_000 },
      dataDeletion: { rpoMs: 86_400_000, rtoMs: 1_800_000 },
    },
    alerts: {
      smallerThan: 0.5,
      leastBytes: 1,
      rowsLost: 0.5,
      longerThan: 3,
      diskFreeBytes: 10_000_000_000,
      off: [],
    },
  });
});

test('a rule that there is not cannot be turned off', () => {
  const policy = policySchema.parse({ alerts: { off: ['noBackup', 'noBackups'] } });
  expect(policyProblems(policy, [])).toEqual([expect.stringContaining('"noBackups"')]);
});

test('a line by itself is for all stores, by itself or among others', () => {
  expect(policySchema.parse({ schedule: '0 3 * * *' }).schedule).toEqual([{ cron: '0 3 * * *' }]);
  const both = ['0 * * * *', { cron: '0 3 * * *', stores: ['s3'] }];
  expect(policySchema.parse({ schedule: both }).schedule).toEqual([{ cron: '0 * * * *' }, both[1]]);
});

test('a policy is the same when it is read again', () => {
  const pause = { reason: 'a migration', until: '2026-01-11T06:00:00Z' };
  const once = policySchema.parse({
    schedule: '0 3 * * *',
    retention: { s3: { days: 30 } },
    runLimitMs: 60_000,
    pause,
  });
  expect(policySchema.parse(JSON.parse(JSON.stringify(once)))).toEqual(once);
});

test.each([
  [{ schedule: '@daily' }, 'five fields'],
  [{ timezone: '+02:00' }, 'IANA'],
  [{ retention: { s3: { day: 3 } } }, 'day'],
  [{ retention: { s3: { days: 0 } } }, '>=1'],
  [{ pause: { reason: ' ', until: '2026-01-11T06:00:00Z' } }, '>=1'],
  [{ pause: { reason: 'why', until: 'tomorrow' } }, 'datetime'],
  [{ runLimitMs: 25 * 86_400_000 }, '<='],
  [{ verify: { schedule: 'weekly' } }, 'five fields'],
  [{ schedule: '0 0 30 2 *' }, 'never comes'],
  [{ sechdule: [] }, 'sechdule'],
])('%j is refused', (given, said) => {
  const { error } = policySchema.safeParse(given);
  expect(JSON.stringify(error?.issues)).toContain(said);
});

test('of another version’s what is not known here is left out', () => {
  expect(foreignPolicySchema.parse({ timezone: 'Europe/Berlin', moonPhase: 'full' })).toMatchObject({
    timezone: 'Europe/Berlin',
  });
});

test('stores that the database does not have are told', () => {
  const policy = policySchema.parse({
    schedule: ['0 3 * * *', { cron: '0 * * * *', stores: ['local', 'tape'] }],
    retention: { local: { days: 3 }, s4: { days: 30 } },
  });
  expect(policyProblems(policy, ['local', 's3'])).toEqual([
    'The schedule "0 * * * *" names the store "tape", and it has local, s3.',
    'Retention names the store "s4", and it has local, s3.',
  ]);
  expect(policyProblems(policySchema.parse({ schedule: '0 3 * * *' }), [])).toEqual([]);
  const empty = policySchema.parse({ retention: { local: {} } });
  expect(policyProblems(empty, ['local'])).toEqual([expect.stringContaining('holds no rule')]);
  expect(fittedPolicy(policy, ['local', 's3'])).toMatchObject({
    schedule: [{ cron: '0 3 * * *' }, { cron: '0 * * * *', stores: ['local'] }],
    retention: { local: { days: 3 } },
  });
  expect(fittedPolicy(policy, ['s3']).schedule).toEqual([{ cron: '0 3 * * *' }]);
});
