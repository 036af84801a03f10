import { idSchema } from '@strideiq/core';
import { z } from 'zod';
import { ControlPlaneError } from '../errors.ts';
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
      mode: z.enum(['fresh', 'inPlace', 'tables']).describe('This version restores `fresh` alone.'),
      database: z.string().min(1).max(100).describe('Name of the new database.'),
      tables: z.array(z.string()).max(1000).optional(),
    }),
    confirm: z.string().max(100).optional().describe('Name of the database that `inPlace` replaces.'),
  })
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
      summary: 'Restores a backup into a new database',
      status: 202,
      errors: [...workErrors, 'BackupNotRestorable', 'CopyUnreachable', 'TargetAmbiguous'],
      idempotent: true,
    },
  }).mutation(async ({ ctx, input: { backupId, databaseId = '', target } }) => {
    const { agentId, mode, database, viaDatabaseId } = target;
    if (mode !== 'fresh') throw modeUnknown(mode);
    return started(
      ctx.parts.work.requestRestore(
        backupId === undefined ? { databaseId, latest: true } : { backupId },
        { agentId, mode, database, ...(viaDatabaseId === undefined ? {} : { viaDatabaseId }) },
        requesterOf(ctx),
      ),
    );
  }),
});

function modeUnknown(mode: string): ControlPlaneError {
  return new ControlPlaneError(
    'ActionNotAllowed',
    `This version of the control plane does not restore by the mode ${mode}.`,
    'Restore into a new database ("mode": "fresh"), and take from it what is needed.',
  );
}
