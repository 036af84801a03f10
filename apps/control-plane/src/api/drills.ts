import { idSchema } from '@strideiq/core';
import { z } from 'zod';
import { guarded, router } from './guarded.ts';
import { environmentsOfAgent, environmentsOfBackup, environmentsOfDatabase } from './owners.ts';
import { requesterOf, started, startedSchema, workErrors } from './work.ts';

const inputSchema = z
  .strictObject({
    databaseId: idSchema.optional().describe('Whose newest good backup is restored; or `backupId`.'),
    backupId: idSchema.optional().describe('The backup that is restored.'),
    agentId: idSchema.optional().describe('The agent that restores; left out: the one that looks after the database.'),
    viaDatabaseId: idSchema
      .optional()
      .describe('On whose server, where that agent looks after several: one of its databases.'),
  })
  .refine(
    ({ backupId, databaseId }) => (backupId === undefined) !== (databaseId === undefined),
    'name either databaseId or backupId',
  );

export const drillsRouter = router({
  create: guarded({
    role: 'operator',
    // Who drills elsewhere reads one environment and writes into the other.
    scope: ({ backupId, databaseId = '', agentId }, catalog) => [
      ...(backupId === undefined
        ? environmentsOfDatabase(catalog, databaseId)
        : environmentsOfBackup(catalog, backupId)),
      ...(agentId === undefined ? [] : environmentsOfAgent(catalog, agentId)),
    ],
    input: inputSchema,
    output: startedSchema,
    rest: {
      method: 'POST',
      path: '/drills',
      summary: 'Restores a backup into a scratch database, looks at it closely, and drops it',
      status: 202,
      errors: [...workErrors, 'BackupNotRestorable', 'CopyUnreachable', 'TargetAmbiguous'],
      idempotent: true,
    },
  }).mutation(async ({ ctx, input: { backupId, databaseId = '', agentId, viaDatabaseId } }) =>
    started(
      ctx.parts.work.requestDrill(
        backupId === undefined ? { databaseId, latest: true } : { backupId },
        {
          ...(agentId === undefined ? {} : { agentId }),
          ...(viaDatabaseId === undefined ? {} : { viaDatabaseId }),
        },
        requesterOf(ctx),
      ),
    ),
  ),
});
