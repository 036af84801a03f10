import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';

/** Who may ask, who did, and what they were answered: a part of the catalog, see `schema.ts`. */

export const roles = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof roles)[number];

/** API keys, as SHA-256. */
export const keys = sqliteTable(
  'keys',
  {
    id: text('id').primaryKey(),
    name: text('name').notNull(),
    hash: text('hash').notNull(),
    role: text('role', { enum: roles }).notNull(),
    /** Null: all, also those to come. */
    environments: text('environments', { mode: 'json' }).$type<string[]>(),
    createdAt: integer('created_at').notNull(),
    createdBy: text('created_by').notNull(),
    expiresAt: integer('expires_at'),
    revokedAt: integer('revoked_at'),
    /** To the minute. */
    lastUsedAt: integer('last_used_at'),
  },
  (table) => [uniqueIndex('keys_by_hash').on(table.hash)],
);

/**
 * Every change, every refusal, every download and restore. Append-only by triggers, and chained: each entry's hash covers
 * the one before it.
 */
export const audit = sqliteTable(
  'audit',
  {
    seq: integer('seq').primaryKey(),
    at: integer('at').notNull(),
    /** An API key's id, `agent:ID`, or `local` for the server's own command line. */
    actor: text('actor').notNull(),
    /** `restore.request`, `key.create`, `access.refused` … */
    action: text('action').notNull(),
    environment: text('environment'),
    /** What it was done to, by id. */
    subject: text('subject'),
    detail: text('detail', { mode: 'json' }).$type<Record<string, unknown>>().notNull(),
    previousHash: text('previous_hash').notNull(),
    /** SHA-256, hex. */
    hash: text('hash').notNull(),
  },
  (table) => [
    index('audit_by_subject').on(table.subject),
    index('audit_by_environment').on(table.environment, table.seq),
  ],
);

/** Answers that a repeated request gets again. */
export const idempotencyKeys = sqliteTable(
  'idempotency_keys',
  {
    callerId: text('caller_id').notNull(),
    key: text('key').notNull(),
    /** SHA-256 of procedure and input: the same key for something else is an error. */
    bodyHash: text('body_hash').notNull(),
    runId: text('run_id').notNull(),
    createdAt: integer('created_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.callerId, table.key] })],
);
