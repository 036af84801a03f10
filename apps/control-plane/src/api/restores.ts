import { idSchema } from '@strideiq/core';
import { z } from 'zod';
import type { RestoreTarget } from '../runs/requests.ts';
import { guarded, router } from './guarded.ts';
import { environmentsOfAgent, environmentsOfBackup, environmentsOfDatabase } from './owners.ts';
import { requesterOf, started, startedSchema, workErrors } from './work.ts';

const inputSchema = z
  .strictObject({
    backupId: idSchema.optional().describe('What to restore; or `databaseId` with `latest`.'),
    databaseId: idSchema.optional().describe('Whose newest good backup to restore.'),
    latest: z.literal(true).optional(),
    target: z.strictObject({
      agentId: idSchema.describe('The agent that restores.'),
      viaDatabaseId: idSchema
        .optional()
        .describe('On whose server, where that agent looks after several: one of its databases.'),
      mode: z
        .enum(['fresh', 'inPlace', 'tables'])
        .describe(
          '`fresh`: into a new database; `tables`: some tables alone, into a new database; `inPlace`: replaces one.',
        ),
      database: z
        .string()
        .min(1)
        .max(100)
        .describe('Name of the new database; of `inPlace`, of the one that is replaced, as the host’s file calls it.'),
      tables: z.array(z.string().min(1).max(300)).min(1).max(1000).optional().describe('`schema.name`, of `tables`.'),
      safetyBackup: z
        .boolean()
        .optional()
        .describe(
          'Of `inPlace`: whether a backup of the replaced database is made first; it is, unless this is false.',
        ),
    }),
    confirm: z.string().max(100).optional().describe('Of `inPlace`: the name of the database that is replaced, again.'),
  })
  .refine(
    ({ target: { mode, tables } }) => (mode === 'tables') === (tables !== undefined),
    'name `tables` with the mode tables, and with no other',
  )
  .refine(
    ({ target: { mode, safetyBackup }, confirm }) => mode === 'inPlace' || (safetyBackup ?? confirm) === undefined,
    '`safetyBackup` and `confirm` are of the mode inPlace',
  )
  .refine(
    ({ target: { mode, viaDatabaseId } }) => mode !== 'inPlace' || viaDatabaseId === undefined,
    'the mode inPlace has its server by the database that it replaces: leave `viaDatabaseId` out',
  )
  .refine(
    ({ backupId, databaseId, latest }) =>
      (backupId === undefined) !== (databaseId === undefined) && (databaseId === undefined) === (latest === undefined),
    'name either backupId, or databaseId with "latest": true',
  );

export const restoresRouter = router({
  create: guarded({
    role: 'operator',
    // Who restores reads one environment and writes into the other.
    scope: ({ backupId, databaseId = '', target }, catalog) => [
      ...(backupId === undefined
        ? environmentsOfDatabase(catalog, databaseId)
        : environmentsOfBackup(catalog, backupId)),
      ...environmentsOfAgent(catalog, target.agentId),
    ],
    input: inputSchema,
    output: startedSchema,
    rest: {
      method: 'POST',
      path: '/restores',
      summary: 'Restores a backup into a new database, or in the place of one',
      status: 202,
      errors: [...workErrors, 'BackupNotRestorable', 'CopyUnreachable', 'TargetAmbiguous'],
      idempotent: true,
    },
  }).mutation(async ({ ctx, input: { backupId, databaseId = '', target, confirm } }) =>
    started(
      ctx.parts.work.requestRestore(
        backupId === undefined ? { databaseId, latest: true } : { backupId },
        targetOf(target, confirm),
        requesterOf(ctx),
      ),
    ),
  ),
});

function targetOf(
  { agentId, mode, database, viaDatabaseId, tables, safetyBackup }: z.output<typeof inputSchema>['target'],
  confirm: string | undefined,
): RestoreTarget {
  if (mode === 'inPlace') {
    return { agentId, mode, database, confirm, withoutSafetyBackup: safetyBackup === false };
  }
  return {
    agentId,
    mode,
    database,
    ...(viaDatabaseId === undefined ? {} : { viaDatabaseId }),
    ...(tables === undefined ? {} : { tables }),
  };
}
