import type { AlertState, NoticeState, RuleName, Severity } from '@strideiq/core';
import { sql } from 'drizzle-orm';
import { index, integer, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import type { Notice } from '../channels/notice.ts';

/** What is wrong, and who was told of it: a part of the catalog, see `schema.ts`. */

/** Rules that hold or held for a subject: an alert each time. At most one of a rule and subject is not resolved. */
export const alerts = sqliteTable(
  'alerts',
  {
    id: text('id').primaryKey(),
    rule: text('rule').$type<RuleName>().notNull(),
    /** `database:ID`, `store:ID`, `agent:ID`, `key:ID`, `channel:NAME` or `system:…`. */
    subject: text('subject').notNull(),
    /** What the subject is called, for people. */
    name: text('name').notNull(),
    /** Null: the control plane's own. */
    environment: text('environment'),
    /** Where it is about one, or one of its stores. */
    databaseId: text('database_id'),
    state: text('state').$type<AlertState>().notNull(),
    severity: text('severity').$type<Severity>().notNull(),
    text: text('text').notNull(),
    openedAt: integer('opened_at').notNull(),
    /** Since when it does not hold, while it may come again. */
    clearSince: integer('clear_since'),
    resolvedAt: integer('resolved_at'),
    acknowledgedAt: integer('acknowledged_at'),
    /** An API key's id. */
    acknowledgedBy: text('acknowledged_by'),
    /** What whoever acknowledged or silenced it has said of it. */
    note: text('note'),
    silencedUntil: integer('silenced_until'),
    silencedBy: text('silenced_by'),
    /** Words of it so far. */
    told: integer('told').notNull(),
    remindAt: integer('remind_at'),
    /** What there is to tell of it that no message has told yet, and since when. */
    untold: text('untold', { enum: ['opened', 'reminder', 'resolved'] }),
    untoldSince: integer('untold_since'),
  },
  (table) => [
    uniqueIndex('alerts_open')
      .on(table.rule, table.subject)
      .where(sql`resolved_at IS NULL`),
    index('alerts_by_opened').on(table.openedAt),
    index('alerts_by_environment').on(table.environment, table.openedAt),
    index('alerts_untold').on(table.untold),
  ],
);

/** How fast messages about one rule in one environment come. */
export const messagePaces = sqliteTable('message_paces', {
  /** `ENVIRONMENT/RULE`. */
  group: text('group').primaryKey(),
  messages: integer('messages').notNull(),
  lastAt: integer('last_at').notNull(),
});

/** Every message to a channel, until it has arrived or is given up. */
export const notices = sqliteTable(
  'notices',
  {
    id: text('id').primaryKey(),
    /** By its name in the configuration. */
    channel: text('channel').notNull(),
    group: text('group').notNull(),
    state: text('state').$type<NoticeState>().notNull(),
    notice: text('notice', { mode: 'json' }).$type<Notice>().notNull(),
    createdAt: integer('created_at').notNull(),
    attempts: integer('attempts').notNull(),
    nextAttemptAt: integer('next_attempt_at').notNull(),
    /** Why the last attempt came to nothing. */
    error: text('error'),
    endedAt: integer('ended_at'),
  },
  (table) => [
    index('notices_by_state').on(table.state, table.nextAttemptAt),
    index('notices_by_channel').on(table.channel, table.createdAt),
  ],
);

/** Which digests were made, by channel. */
export const digests = sqliteTable('digests', {
  channel: text('channel').primaryKey(),
  /** Moments of its schedule up to here were seen to. */
  seenAt: integer('seen_at').notNull(),
});
