import { newId, ruleNames, severities, type NoticeState } from '@strideiq/core';
import { and, count, desc, eq, max } from 'drizzle-orm';
import { z } from 'zod';
import { failingChannels } from '../alerts/failing-channels.ts';
import { testChannel } from '../alerts/test-channel.ts';
import { notices } from '../catalog/schema.ts';
import type { Channel } from '../channels/open-channel.ts';
import { ControlPlaneError } from '../errors.ts';
import type { ApiParts } from './context.ts';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';
import { afterCursor, pageInput, pageOutput, readPage } from './paging.ts';

export const channelSchema = z
  .object({
    name: z.string(),
    type: z.string().describe('email, slack, pagerDuty or webhook.'),
    environments: z.array(z.string()).nullable().describe('Whose alerts it is told; null: those of all.'),
    severity: z.enum(severities).describe('The least that it is told.'),
    rules: z.array(z.enum(ruleNames)).nullable().describe('Null: all.'),
    digest: z.object({ schedule: z.string(), timezone: z.string() }).nullable(),
    lastSentAt: momentSchema.nullable().describe('When a message last arrived.'),
    waiting: z.int().describe('Messages that have not arrived yet.'),
    problem: z.string().nullable().describe('Why what it is to tell does not arrive; null where it does.'),
  })
  .meta({ id: 'Channel' });
export type ShownChannel = z.infer<typeof channelSchema>;

export const deliverySchema = z
  .object({
    id: z.string(),
    channel: z.string(),
    state: z.enum(['waiting', 'sent', 'failed', 'superseded']),
    kind: z.string().describe('opened, reminder, resolved, digest or test.'),
    title: z.string(),
    createdAt: momentSchema,
    attempts: z.int(),
    error: z.string().nullable().describe('Why the last attempt came to nothing.'),
    endedAt: momentSchema.nullable(),
  })
  .meta({ id: 'Delivery' });
export type Delivery = z.infer<typeof deliverySchema>;

const nameSchema = z.string().min(1).max(100);

/** Channels are in the configuration, where their secrets are; here is how they fare. */
export const channelsRouter = router({
  overview: guarded({
    role: 'viewer',
    scope: 'system',
    input: z.strictObject({}),
    output: z.object({ items: z.array(channelSchema), nextCursor: z.null() }).meta({ id: 'Channels' }),
    rest: { method: 'GET', path: '/channels', summary: 'Where alerts are told, and whether that arrives' },
  }).query(({ ctx: { parts } }) => ({
    items: [...parts.channels.values()].map((channel) => shown(parts, channel)),
    nextCursor: null,
  })),

  deliveries: guarded({
    role: 'viewer',
    scope: 'system',
    input: z.strictObject({ name: nameSchema, ...pageInput }),
    output: pageOutput(deliverySchema),
    rest: {
      method: 'GET',
      path: '/channels/{name}/deliveries',
      summary: 'The messages to a channel, the newest first',
    },
  }).query(({ ctx: { parts }, input: { name, cursor, limit } }) => {
    const channel = channelNamed(parts, name);
    const page = readPage(
      limit,
      (most) =>
        parts.catalog
          .select()
          .from(notices)
          .where(and(eq(notices.channel, channel.name), afterCursor(cursor, notices.createdAt, notices.id)))
          .orderBy(desc(notices.createdAt), desc(notices.id))
          .limit(most)
          .all(),
      ({ createdAt, id }) => ({ at: createdAt, id }),
    );
    const items = page.items.map(
      ({ id, channel: of, state, notice, createdAt, attempts, error, endedAt }): Delivery => ({
        id,
        channel: of,
        state,
        kind: notice.kind,
        title: notice.title,
        createdAt: moment(createdAt),
        attempts,
        error,
        endedAt: moment(endedAt),
      }),
    );
    return { items, nextCursor: page.nextCursor };
  }),

  test: guarded({
    role: 'admin',
    scope: 'system',
    input: z.strictObject({ name: nameSchema }),
    output: z.object({ id: z.string().describe('Of the message.') }).meta({ id: 'TestedChannel' }),
    rest: {
      method: 'POST',
      path: '/channels/{name}/test',
      summary: 'Sends a message to a channel, and answers once it has arrived there',
      errors: ['ChannelFailed'],
    },
  }).mutation(async ({ ctx: { caller, parts }, input: { name } }) => {
    const id = newId(parts.now());
    await testChannel(parts, channelNamed(parts, name), { id, actor: caller.keyId });
    return { id };
  }),
});

/** @throws ControlPlaneError `NotFound` */
function channelNamed({ channels }: ApiParts, name: string): Channel {
  const channel = channels.get(name);
  if (channel) return channel;
  const all = [...channels.keys()].join(', ') || 'none';
  throw new ControlPlaneError('NotFound', `No channel is called ${name}.`, `The configuration has: ${all}.`);
}

function shown(
  { catalog, now }: ApiParts,
  { name, type, environments, severity, rules, digest }: Channel,
): ShownChannel {
  const inState = (state: NoticeState) => and(eq(notices.channel, name), eq(notices.state, state));
  const [sent] = catalog
    .select({ at: max(notices.endedAt) })
    .from(notices)
    .where(inState('sent'))
    .all();
  const [waiting] = catalog.select({ count: count() }).from(notices).where(inState('waiting')).all();
  return {
    name,
    type,
    environments: environments === null ? null : [...environments],
    severity,
    rules: rules === null ? null : [...rules],
    digest,
    lastSentAt: moment(sent?.at ?? null),
    waiting: waiting?.count ?? 0,
    problem: failingChannels(catalog, now()).get(name) ?? null,
  };
}
