import { alertRules, idSchema, ruleNames, severities } from '@strideiq/core';
import { and, desc, eq, inArray, isNull } from 'drizzle-orm';
import { z } from 'zod';
import { acknowledgeAlert, silenceAlert, unsilenceAlert } from '../alerts/change-alert.ts';
import type { AlertRow } from '../alerts/record-alerts.ts';
import { alerts } from '../catalog/schema.ts';
import { environmentNameSchema } from './environments.ts';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';
import { reachOfAlert } from './owners.ts';
import { afterCursor, pageInput, pageOutput, readPage } from './paging.ts';

export const alertSchema = z
  .object({
    id: z.string(),
    rule: z.enum(ruleNames),
    title: z.string().describe('What the rule is about, as a headline.'),
    subject: z.string().describe('`database:ID`, `store:ID`, `agent:ID`, `key:ID`, `channel:NAME` …'),
    name: z.string().describe('What the subject is called.'),
    environment: z.string().nullable().describe('Null: the control plane’s own.'),
    databaseId: z.string().nullable(),
    state: z.enum(['open', 'acknowledged', 'silenced', 'resolved']),
    severity: z.enum(severities),
    text: z.string().describe('What is so, as it was seen last.'),
    meaning: z.string(),
    cure: z.string().describe('What to do.'),
    openedAt: momentSchema,
    resolvedAt: momentSchema.nullable(),
    acknowledgedAt: momentSchema.nullable(),
    acknowledgedBy: z.string().nullable().describe('An API key’s id.'),
    silencedUntil: momentSchema.nullable(),
    silencedBy: z.string().nullable().describe('An API key’s id.'),
    note: z.string().nullable(),
  })
  .meta({ id: 'Alert' });
export type ShownAlert = z.infer<typeof alertSchema>;

const noteSchema = z.string().trim().min(1).max(500).optional().describe('For whoever looks at it next.');

export const alertsRouter = router({
  list: guarded({
    role: 'viewer',
    scope: 'listed',
    input: z.strictObject({
      ...pageInput,
      environment: environmentNameSchema.optional(),
      databaseId: idSchema.optional(),
      rule: z.enum(ruleNames).optional(),
      show: z.enum(['open', 'all']).default('open').describe('all: those that were resolved too.'),
    }),
    output: pageOutput(alertSchema),
    rest: { method: 'GET', path: '/alerts', summary: 'What is wrong, and what was; the newest first' },
  }).query(({ ctx: { caller, parts }, input: { cursor, limit, environment, databaseId, rule, show } }) => {
    const page = readPage(
      limit,
      (most) =>
        parts.catalog
          .select()
          .from(alerts)
          .where(
            and(
              // What is about no environment is for those who reach all.
              caller.environments === null ? undefined : inArray(alerts.environment, [...caller.environments]),
              environment === undefined ? undefined : eq(alerts.environment, environment),
              databaseId === undefined ? undefined : eq(alerts.databaseId, databaseId),
              rule === undefined ? undefined : eq(alerts.rule, rule),
              show === 'all' ? undefined : isNull(alerts.resolvedAt),
              afterCursor(cursor, alerts.openedAt, alerts.id),
            ),
          )
          .orderBy(desc(alerts.openedAt), desc(alerts.id))
          .limit(most)
          .all(),
      ({ openedAt, id }) => ({ at: openedAt, id }),
    );
    return { items: page.items.map(shown), nextCursor: page.nextCursor };
  }),

  acknowledge: guarded({
    role: 'operator',
    scope: ({ alertId }, catalog) => reachOfAlert(catalog, alertId),
    input: z.strictObject({ alertId: idSchema, note: noteSchema }),
    output: alertSchema.meta({ id: 'AcknowledgedAlert' }),
    rest: {
      method: 'POST',
      path: '/alerts/{alertId}/acknowledge',
      summary: 'Takes an alert on: nobody is reminded of it any more',
      errors: ['AlertOver'],
    },
  }).mutation(({ ctx: { caller, parts }, input: { alertId, note } }) =>
    shown(acknowledgeAlert(parts, { alertId, note, actor: caller.keyId })),
  ),

  silence: guarded({
    role: 'operator',
    scope: ({ alertId }, catalog) => reachOfAlert(catalog, alertId),
    input: z.strictObject({ alertId: idSchema, until: momentSchema, note: noteSchema }),
    output: alertSchema.meta({ id: 'SilencedAlert' }),
    rest: {
      method: 'POST',
      path: '/alerts/{alertId}/silence',
      summary: 'Nobody is told of an alert until then, should it end and come again too',
      errors: ['AlertOver'],
    },
  }).mutation(({ ctx: { caller, parts }, input: { alertId, until, note } }) =>
    shown(silenceAlert(parts, { alertId, note, until: Date.parse(until), actor: caller.keyId })),
  ),

  unsilence: guarded({
    role: 'operator',
    scope: ({ alertId }, catalog) => reachOfAlert(catalog, alertId),
    input: z.strictObject({ alertId: idSchema }),
    output: alertSchema.meta({ id: 'UnsilencedAlert' }),
    rest: {
      method: 'DELETE',
      path: '/alerts/{alertId}/silence',
      summary: 'Ends a silence: what still holds is told of again',
      errors: ['AlertOver'],
    },
  }).mutation(({ ctx: { caller, parts }, input: { alertId } }) =>
    shown(unsilenceAlert(parts, { alertId, note: undefined, actor: caller.keyId })),
  ),
});

function shown(row: AlertRow): ShownAlert {
  const { id, rule, subject, name, environment, databaseId, state, severity, text, note } = row;
  const { title, meaning, cure } = alertRules[rule];
  return {
    id,
    rule,
    title,
    subject,
    name,
    environment,
    databaseId,
    state,
    severity,
    text,
    meaning,
    cure,
    openedAt: moment(row.openedAt),
    resolvedAt: moment(row.resolvedAt),
    acknowledgedAt: moment(row.acknowledgedAt),
    acknowledgedBy: row.acknowledgedBy,
    silencedUntil: moment(row.silencedUntil),
    silencedBy: row.silencedBy,
    note,
  };
}
