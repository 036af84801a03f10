import { idSchema } from '@strideiq/core';
import { z } from 'zod';
import { mostTextLength } from './limits.ts';

/** What was measured of one database's server. */
export const databaseFactsSchema = z.object({
  databaseId: idSchema,
  reachable: z.boolean(),
  /** Why it is not. */
  error: z.string().max(mostTextLength).optional(),
  serverVersion: z.string().max(200).optional(),
  pgDumpVersion: z.string().max(200).optional(),
  /** Why none of the host's pg_dump can dump it. */
  pgDumpProblem: z.string().max(mostTextLength).optional(),
  sizeBytes: z.number().nonnegative().optional(),
  /** Version of the control plane's policy that the agent works by; left out: it works by the file. */
  policyVersion: z.int().positive().optional(),
});
export type DatabaseFacts = z.infer<typeof databaseFactsSchema>;

export const storeFactsSchema = z.object({
  storeId: idSchema,
  /** Null where the store does not say. */
  freeBytes: z.number().nonnegative().nullable(),
  error: z.string().max(mostTextLength).optional(),
});
export type StoreFacts = z.infer<typeof storeFactsSchema>;

/** Sent every `heartbeatIntervalMs`; lives in the control plane's memory. */
export const heartbeatSchema = z.object({
  /** The host's clock at sending, ISO 8601. */
  sentAt: z.iso.datetime(),
  databases: z.array(databaseFactsSchema).max(1000),
  stores: z.array(storeFactsSchema).max(5000),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

export const heartbeatAnswerSchema = z.object({ serverTime: z.string() });
export type HeartbeatAnswer = z.infer<typeof heartbeatAnswerSchema>;
