import { z } from 'zod';
import { alertRules, ruleNames } from './alerts/rules.ts';
import { cronSchema, timeZoneSchema } from './cron-line.ts';
import { retentionRulesSchema, type RetentionRules } from './retention.ts';

const dayMs = 86_400_000;
const duration = (most: number) => z.int().min(0).max(most);

/** When a backup is made, and into which of the database's stores. */
const lineSchema = z.strictObject({
  cron: cronSchema.describe('A cron line of five fields.'),
  stores: z.array(z.string().min(1).max(200)).min(1).max(50).optional().describe('By their names; left out: all.'),
});

/** A line by itself is for all stores. */
const everywhereSchema = cronSchema.transform((cron): z.output<typeof lineSchema> => ({ cron }));

const scheduleWords = 'When backups are made: cron lines, each for all stores or for some. Empty: only when asked.';
const scheduleSchema = z
  .union([everywhereSchema.transform((line) => [line]), z.array(z.union([everywhereSchema, lineSchema])).max(50)])
  .default([])
  .describe(scheduleWords);

/** Null: none, and nobody is told. */
const objective = (rtoMs: number) =>
  z
    .strictObject({
      rpoMs: duration(366 * dayMs)
        .min(60_000)
        .nullable()
        .default(dayMs)
        .describe('Data of so long may be lost at most. Null: no objective.'),
      rtoMs: duration(366 * dayMs)
        .min(1000)
        .nullable()
        .default(rtoMs)
        .describe('A restore may take so long at most. Null: no objective.'),
    })
    .prefault({});

const hourMs = 3_600_000;

/** What a database has to be saved from, each with objectives of its own; the usual ones are the runbook's. */
const objectivesSchema = z
  .strictObject({
    databaseCorruption: objective(hourMs),
    infrastructureFailure: objective(4 * hourMs),
    dataDeletion: objective(hourMs / 2),
  })
  .prefault({})
  .describe('Objectives by scenario: how much may be lost, and how long a restore may take.');
export type Objectives = z.output<typeof objectivesSchema>;
export type Scenario = keyof Objectives;
export type Objective = Objectives[Scenario];

const share = () => z.number().min(0).max(1);

/** From when on somebody is told. */
const alertsSchema = z
  .strictObject({
    smallerThan: share()
      .default(0.5)
      .describe('A backup below this share of the median of the last good ones is small.'),
    leastBytes: z.int().min(0).default(1).describe('A backup of fewer bytes is small, whatever was before.'),
    rowsLost: share().default(0.5).describe('A table that loses more than this share of its rows between backups.'),
    longerThan: z
      .number()
      .min(1)
      .max(1000)
      .default(3)
      .describe('A run that takes more than so many times the median of the last good ones is long.'),
    diskFreeBytes: z
      .int()
      .min(0)
      .default(10_000_000_000)
      .describe('A directory on a disk with less room is short of it.'),
    off: z.array(z.string().max(100)).max(100).default([]).describe('Rules that nobody is told of for this database.'),
  })
  .prefault({})
  .describe('From when on alerts are raised.');
export type AlertThresholds = z.output<typeof alertsSchema>;

const rest = {
  objectives: objectivesSchema,
  alerts: alertsSchema,
  timezone: timeZoneSchema.default('UTC').describe('IANA time zone of all its cron lines.'),
  jitterMs: duration(dayMs).default(0).describe('A backup starts up to this much later, by chance.'),
  catchUp: z
    .boolean()
    .default(true)
    .describe('Whether what was missed while the host was down is made once it is back.'),
  catchUpLimitMs: duration(366 * dayMs)
    .default(dayMs)
    .describe('Missed for longer than this, it is not made late.'),
  runLimitMs: duration(24 * dayMs)
    .min(1000)
    .optional()
    .describe('A run that takes longer is ended, and has failed. Left out: none.'),
  pause: z
    .strictObject({
      reason: z.string().trim().min(1).max(500),
      until: z.iso.datetime({ offset: true }).describe('When it goes on, as 2026-01-11T06:00:00Z.'),
    })
    .optional()
    .describe('Until then nothing is done by itself; what is asked for is.'),
  verify: z
    .strictObject({
      afterBackup: z.boolean().default(true).describe('Whether directories are read back after each backup.'),
      schedule: z
        .union([cronSchema, z.literal('never')])
        .default('30 5 * * 0')
        .describe('When the newest copy in each bucket is read back.'),
    })
    .prefault({}),
  drill: z
    .strictObject({
      schedule: cronSchema.optional().describe('When the latest backup is drilled by itself. Left out: never.'),
    })
    .prefault({}),
  retention: z
    .record(z.string().min(1).max(200), retentionRulesSchema)
    .default({})
    .describe('What is kept, by the name of the store. A backup is kept if any of the rules keeps it.'),
};

/**
 * Schedule, retention, objectives and thresholds of one database. Kept by the control plane where there is one, else as the host's file says;
 * everything that is left out has its usual value, so that each policy is whole.
 */
export const policySchema = z.strictObject({ schedule: scheduleSchema, ...rest }).meta({ id: 'Policy' });
export type Policy = z.output<typeof policySchema>;

/** What another version of this program may have written: keys that are not known here are left out. */
export const foreignPolicySchema = z.object({ schedule: scheduleSchema, ...rest });

/** A policy as it is shown: in one form. */
export const shownPolicySchema = z
  .strictObject({ schedule: z.array(lineSchema).describe(scheduleWords), ...rest })
  .meta({ id: 'ShownPolicy' });

/** The same without what is about stores that the database does not have: what is left of it can be gone by. */
export function fittedPolicy(policy: Policy, stores: readonly string[]): Policy {
  const has = (name: string) => stores.includes(name);
  return {
    ...policy,
    schedule: policy.schedule.flatMap((line) => {
      if (line.stores === undefined) return [line];
      const known = line.stores.filter(has);
      return known.length === 0 ? [] : [{ ...line, stores: known }];
    }),
    retention: Object.fromEntries(Object.entries(policy.retention).filter(([name]) => has(name))),
  };
}

/**
 * What does not fit the database that a policy is for: each a sentence, none where all fits.
 * @param stores names of the database's own stores
 */
export function policyProblems({ schedule, retention, alerts }: Policy, stores: readonly string[]): string[] {
  const has = stores.length === 0 ? 'it has none' : `it has ${stores.join(', ')}`;
  const missing = (where: string, name: string) =>
    stores.includes(name) ? [] : [`${where} names the store ${JSON.stringify(name)}, and ${has}.`];
  const isEmpty = (rules: RetentionRules) => Object.values(rules).every((limit) => limit === undefined);
  const empty = Object.entries(retention).filter(([, rules]) => isEmpty(rules));
  return [
    ...empty.map(
      ([name]) => `Retention of ${name} holds no rule: leave it out for the usual one, or name days or count.`,
    ),
    ...schedule.flatMap(({ cron, stores: named = [] }) =>
      named.flatMap((name) => missing(`The schedule ${JSON.stringify(cron)}`, name)),
    ),
    ...Object.keys(retention).flatMap((name) => missing('Retention', name)),
    ...alerts.off
      .filter((name) => !Object.hasOwn(alertRules, name))
      .map((name) => `Alerts turn off ${JSON.stringify(name)}, and no rule is called so: ${ruleNames.join(', ')}.`),
  ];
}
