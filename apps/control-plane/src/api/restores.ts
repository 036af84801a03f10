import { idSchema } from '@strideiq/core';
import { z } from 'zod';
import { ControlPlaneError } from '../errors.ts';
import { guarded, router } from './guarded.ts';
import { environmentsOfAgent, environmentsOfBackup, environmentsOfDatabase } from './owners.ts';
import { requesterOf, startedSchema, workErrors } from './work.ts';

const inputSchema = z
  .object({
    backupId: idSchema.optional().describe('What to restore; or `databaseId` with `latest`.'),
    databaseId: idSchema.optional().describe('Whose newest good backup to restore.'),
    latest: z.literal(true).optional(),
    target: z.object({
      agentId: idSchema.describe('The agent that restores.'),
      databaseId: idSchema
        .optional()
        .describe('On whose server, where that agent looks after several; default: the restored one’s own.'),
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
  }).mutation(({ ctx, input: { backupId, databaseId = '', target } }) => {
    if (target.mode !== 'fresh') throw modeUnknown(target.mode);
    return ctx.parts.work.restore(requesterOf(ctx), {
      source: backupId === undefined ? { databaseId } : { backupId },
      target: {
        agentId: target.agentId,
        ...(target.databaseId === undefined ? {} : { databaseId: target.databaseId }),
        into: target.database,
      },
    });
  }),
});

function modeUnknown(mode: string): ControlPlaneError {
  return new ControlPlaneError(
    'ActionNotAllowed',
    `This version of the control plane does not restore by the mode ${mode}.`,
    'Restore into a new database ("mode": "fresh"), and take from it what is needed.',
  );
}
