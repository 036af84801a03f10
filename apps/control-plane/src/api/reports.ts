import { idSchema } from '@strideiq/core';
import { and, desc, eq, inArray } from 'drizzle-orm';
import { z } from 'zod';
import { agents, reports } from '../catalog/schema.ts';
import { environmentNameSchema } from './environments.ts';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';
import { afterCursor, pageInput, pageOutput, readPage } from './paging.ts';

export const rejectedReportSchema = z
  .object({
    reportId: z.string(),
    agentId: z.string(),
    environment: z.string(),
    journalId: z.string(),
    seq: z.int(),
    kind: z.string(),
    at: momentSchema.describe('By the host’s clock.'),
    receivedAt: momentSchema,
    code: z.string(),
    reason: z.string(),
    body: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: 'RejectedReport' });
export type RejectedReport = z.infer<typeof rejectedReportSchema>;

export const reportsRouter = router({
  list: guarded({
    role: 'viewer',
    scope: 'listed',
    input: z.strictObject({
      ...pageInput,
      environment: environmentNameSchema.optional(),
      agentId: idSchema.optional(),
    }),
    output: pageOutput(rejectedReportSchema),
    rest: { method: 'GET', path: '/reports', summary: 'What agents reported and was not taken; the newest first' },
  }).query(({ ctx: { caller, parts }, input: { cursor, limit, environment, agentId } }) => {
    const page = readPage(
      limit,
      (most) =>
        parts.catalog
          .select({ report: reports, environment: agents.environment })
          .from(reports)
          .innerJoin(agents, eq(agents.id, reports.agentId))
          .where(
            and(
              eq(reports.answer, 'rejected'),
              caller.environments === null ? undefined : inArray(agents.environment, [...caller.environments]),
              environment === undefined ? undefined : eq(agents.environment, environment),
              agentId === undefined ? undefined : eq(reports.agentId, agentId),
              afterCursor(cursor, reports.receivedAt, reports.reportId),
            ),
          )
          .orderBy(desc(reports.receivedAt), desc(reports.reportId))
          .limit(most)
          .all(),
      ({ report }) => ({ at: report.receivedAt, id: report.reportId }),
    );
    const items = page.items.map(({ report, environment }): RejectedReport => ({
      reportId: report.reportId,
      agentId: report.agentId,
      environment,
      journalId: report.journalId,
      seq: report.seq,
      kind: report.kind,
      at: moment(report.hostAt),
      receivedAt: moment(report.receivedAt),
      code: report.code ?? '',
      reason: report.reason ?? '',
      body: report.body,
    }));
    return { items, nextCursor: page.nextCursor };
  }),
});
