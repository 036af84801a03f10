import { and, count, desc, eq, inArray } from 'drizzle-orm';
import { z } from 'zod';
import { brokenAuditEntry } from '../audit/audit.ts';
import { audit } from '../catalog/schema.ts';
import { environmentNameSchema } from './environments.ts';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';
import { afterCursor, pageInput, pageOutput, readPage } from './paging.ts';

export const auditEntrySchema = z
  .object({
    seq: z.int(),
    at: momentSchema,
    actor: z.string().describe('A key’s id, `agent:ID`, `local` for the server’s own command line, or `unknown`.'),
    action: z.string().describe('`restore.request`, `key.create`, `access.refused` …'),
    environment: z.string().nullable(),
    subject: z.string().nullable().describe('What it was done to, by id.'),
    detail: z.record(z.string(), z.unknown()),
    hash: z.string().describe('Covers this entry and the one before it.'),
  })
  .meta({ id: 'AuditEntry' });
export type AuditEntry = z.infer<typeof auditEntrySchema>;

export const auditRouter = router({
  list: guarded({
    role: 'admin',
    scope: 'listed',
    input: z.strictObject({
      ...pageInput,
      environment: environmentNameSchema.optional(),
      actor: z.string().max(200).optional(),
      action: z.string().max(200).optional(),
      subject: z.string().max(200).optional(),
    }),
    output: pageOutput(auditEntrySchema),
    rest: { method: 'GET', path: '/audit', summary: 'Who did what, or was refused; the newest first' },
  }).query(({ ctx: { caller, parts }, input: { cursor, limit, environment, actor, action, subject } }) => {
    const page = readPage(
      limit,
      (most) =>
        parts.catalog
          .select()
          .from(audit)
          .where(
            and(
              // What is about no environment, or about several, is for those who reach all.
              caller.environments === null ? undefined : inArray(audit.environment, [...caller.environments]),
              environment === undefined ? undefined : eq(audit.environment, environment),
              actor === undefined ? undefined : eq(audit.actor, actor),
              action === undefined ? undefined : eq(audit.action, action),
              subject === undefined ? undefined : eq(audit.subject, subject),
              afterCursor(cursor, audit.seq, audit.hash),
            ),
          )
          .orderBy(desc(audit.seq))
          .limit(most)
          .all(),
      ({ seq, hash }) => ({ at: seq, id: hash }),
    );
    const items = page.items.map(({ seq, at, actor, action, environment, subject, detail, hash }): AuditEntry => ({
      seq,
      at: moment(at),
      actor,
      action,
      environment,
      subject,
      detail,
      hash,
    }));
    return { items, nextCursor: page.nextCursor };
  }),

  verify: guarded({
    role: 'admin',
    scope: 'system',
    input: z.strictObject({}),
    output: z.object({
      whole: z.boolean().describe('Whether every entry is as it was written, and none is missing between them.'),
      brokenSeq: z.int().nullable().describe('The first that was changed, or whose predecessor was.'),
      entries: z.int(),
      lastHash: z.string().nullable().describe('Kept elsewhere, it shows later that none was cut off at the end.'),
    }),
    rest: { method: 'GET', path: '/audit/verify', summary: 'Looks whether the audit’s chain holds' },
  }).query(async ({ ctx: { parts } }) => {
    const broken = await brokenAuditEntry(parts.catalog);
    const [all] = parts.catalog.select({ count: count() }).from(audit).all();
    const last = parts.catalog.select().from(audit).orderBy(desc(audit.seq)).limit(1).get();
    return {
      whole: broken === undefined,
      brokenSeq: broken ?? null,
      entries: all?.count ?? 0,
      lastHash: last?.hash ?? null,
    };
  }),
});
