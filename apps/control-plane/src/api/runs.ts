import { idSchema, runStates } from '@strideiq/core';
import { and, asc, desc, eq, gt, inArray } from 'drizzle-orm';
import { z } from 'zod';
import { databases, runLog, runs } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import { isOpen } from '../runs/open-states.ts';
import { environmentNameSchema } from './environments.ts';
import { followRun } from './follow-run.ts';
import { guarded, guardedStream, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';
import { environmentsOfRun } from './owners.ts';
import { afterCursor, pageInput, pageOutput, readPage } from './paging.ts';
import { runOf, runSchema, runsOf } from './run-view.ts';
import { requesterOf, started, startedSchema, workErrors } from './work.ts';

/** For callers within the process, which end it by `return`. */
const neverGone = new AbortController().signal;

const ofRun = z.strictObject({ runId: idSchema });

export const logLineSchema = z
  .object({
    at: momentSchema.describe('By the host’s clock.'),
    level: z.enum(['info', 'warn', 'error']),
    text: z.string(),
  })
  .meta({ id: 'LogLine' });
export type LogLine = z.infer<typeof logLineSchema>;

export const runsRouter = router({
  list: guarded({
    role: 'viewer',
    scope: 'listed',
    input: z.strictObject({
      ...pageInput,
      environment: environmentNameSchema.optional(),
      databaseId: idSchema.optional(),
      agentId: idSchema.optional(),
      kind: z.string().max(50).optional(),
      state: z.enum(runStates.all).optional(),
    }),
    output: pageOutput(runSchema),
    rest: { method: 'GET', path: '/runs', summary: 'The runs, the newest first' },
  }).query(({ ctx: { caller, parts }, input }) => {
    const { cursor, limit, environment, databaseId, agentId, kind, state } = input;
    const page = readPage(
      limit,
      (most) =>
        parts.catalog
          .select({ run: runs, database: databases })
          .from(runs)
          .innerJoin(databases, eq(databases.id, runs.databaseId))
          .where(
            and(
              caller.environments === null ? undefined : inArray(databases.environment, [...caller.environments]),
              environment === undefined ? undefined : eq(databases.environment, environment),
              databaseId === undefined ? undefined : eq(runs.databaseId, databaseId),
              agentId === undefined ? undefined : eq(runs.agentId, agentId),
              kind === undefined ? undefined : eq(runs.kind, kind),
              state === undefined ? undefined : eq(runs.state, state),
              afterCursor(cursor, runs.createdAt, runs.id),
            ),
          )
          .orderBy(desc(runs.createdAt), desc(runs.id))
          .limit(most)
          .all(),
      ({ run }) => ({ at: run.createdAt, id: run.id }),
    );
    return { items: runsOf(parts, page.items), nextCursor: page.nextCursor };
  }),

  get: guarded({
    role: 'viewer',
    scope: ({ runId }, catalog) => environmentsOfRun(catalog, runId),
    input: ofRun,
    output: runSchema,
    rest: { method: 'GET', path: '/runs/{runId}', summary: 'One run: state, progress and outcome' },
  }).query(({ ctx: { parts }, input: { runId } }) => runOf(parts, runId)),

  log: guarded({
    role: 'viewer',
    scope: ({ runId }, catalog) => environmentsOfRun(catalog, runId),
    input: ofRun.extend(pageInput),
    output: z.object({
      items: z.array(logLineSchema),
      nextCursor: z
        .string()
        .nullable()
        .describe('Null once the run has ended and all is read; until then, ask again with it for what comes.'),
    }),
    rest: { method: 'GET', path: '/runs/{runId}/log', summary: 'What a run has told, the oldest line first' },
  }).query(({ ctx: { parts }, input: { runId, cursor, limit } }) => {
    const { state } = runOf(parts, runId);
    const after = cursor === undefined ? 0 : seqOf(cursor);
    const rows = parts.catalog
      .select()
      .from(runLog)
      .where(and(eq(runLog.runId, runId), gt(runLog.seq, after)))
      .orderBy(asc(runLog.seq))
      .limit(limit)
      .all();
    const over = rows.length < limit && !isOpen(state);
    return {
      items: rows.map(({ hostAt, level, text }) => ({ at: moment(hostAt), level, text })),
      nextCursor: over ? null : String(rows.at(-1)?.seq ?? after),
    };
  }),

  cancel: guarded({
    role: 'operator',
    scope: ({ runId }, catalog) => environmentsOfRun(catalog, runId),
    input: ofRun,
    output: startedSchema,
    rest: {
      method: 'POST',
      path: '/runs/{runId}/cancel',
      summary: 'Asks the host to end a run and to clear what it has begun',
      status: 202,
      errors: [...workErrors, 'RunNotActive'],
    },
  }).mutation(async ({ ctx, input: { runId } }) => started(ctx.parts.work.cancelRun(runId, requesterOf(ctx)))),

  /** The run as it is, and again at each change, until it has ended. */
  follow: guardedStream({
    role: 'viewer',
    scope: ({ runId }, catalog) => environmentsOfRun(catalog, runId),
    input: ofRun,
  }).subscription(async function* ({ ctx, input: { runId }, signal }) {
    const leave = ctx.parts.followers.take(ctx.caller.keyId);
    try {
      yield* followRun(ctx, runId, signal ?? neverGone);
    } finally {
      leave();
    }
  }),
});

function seqOf(cursor: string): number {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw new ControlPlaneError(
    'InputInvalid',
    'The cursor is none that this control plane gave out.',
    'Begin without one, and go on with `nextCursor` of each answer.',
  );
}
