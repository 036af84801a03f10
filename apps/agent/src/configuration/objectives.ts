import { durationSchema, sizeSchema } from '@strideiq/configuration';
import { policySchema, type AlertThresholds, type Objectives, type Scenario } from '@strideiq/core';
import { z } from 'zod';

const { objectives: usualObjectives, alerts: usualAlerts } = policySchema.parse({});

const limitSchema = z.union([durationSchema, z.literal('none').transform(() => null)]);

const objectiveSchema = (scenario: Scenario) => {
  const usual = usualObjectives[scenario];
  return z
    .strictObject({
      rpo: limitSchema.optional().describe('Data of so long may be lost at most, such as 24h; none: no objective.'),
      rto: limitSchema.optional().describe('A restore may take so long at most, such as 1h; none: no objective.'),
    })
    .prefault({})
    .transform(({ rpo = usual.rpoMs, rto = usual.rtoMs }) => ({ rpoMs: rpo, rtoMs: rto }));
};

/** Objectives by scenario, as the host's file says them. */
export const objectivesSchema: z.ZodType<Objectives> = z
  .strictObject({
    databaseCorruption: objectiveSchema('databaseCorruption').describe(
      'The database is damaged, and restored in place. Left out: 24h and 1h.',
    ),
    infrastructureFailure: objectiveSchema('infrastructureFailure').describe(
      'The host is lost, and what is elsewhere is restored elsewhere. Left out: 24h and 4h.',
    ),
    dataDeletion: objectiveSchema('dataDeletion').describe(
      'Rows were deleted, and their tables are restored. Left out: 24h and 30m.',
    ),
  })
  .prefault({});

/** From when on alerts are raised, as the host's file says it. */
export const alertsSchema: z.ZodType<AlertThresholds> = z
  .strictObject({
    smallerThan: z
      .number()
      .min(0)
      .max(1)
      .default(usualAlerts.smallerThan)
      .describe('A backup below this share of the median of the last good ones is small.'),
    leastSize: sizeSchema.default(usualAlerts.leastBytes).describe('A smaller backup is small, whatever was before.'),
    rowsLost: z
      .number()
      .min(0)
      .max(1)
      .default(usualAlerts.rowsLost)
      .describe('A table that loses more than this share of its rows between two backups.'),
    longerThan: z
      .number()
      .min(1)
      .max(1000)
      .default(usualAlerts.longerThan)
      .describe('A run that takes more than so many times the median of the last good ones is long.'),
    diskFree: sizeSchema
      .default(usualAlerts.diskFreeBytes)
      .describe('A directory on a disk with less room is short of it.'),
    off: z
      .array(z.string())
      .default([])
      .describe('Rules that nobody is told of for this database, such as schemaChanged.'),
  })
  .prefault({})
  .transform(({ leastSize, diskFree, ...rest }) => ({ ...rest, leastBytes: leastSize, diskFreeBytes: diskFree }));
