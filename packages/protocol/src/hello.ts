import { idSchema } from '@strideiq/core';
import { z } from 'zod';
import { protocolRangeSchema } from './version.ts';

/** One store as a database of the host uses it. */
export const declaredStoreSchema = z.object({
  storeId: idSchema,
  /** Local name: `local`, `s3`. */
  name: z.string().min(1).max(200),
  type: z.enum(['directory', 's3']),
  /** For people: `/backups`, `s3://bucket/prefix/`. */
  location: z.string().max(2000),
  /** Where an S3 store is, so that the control plane can reach it with credentials of its own. */
  s3: z
    .object({ bucket: z.string(), prefix: z.string(), endpoint: z.string().optional(), region: z.string().optional() })
    .optional(),
});
export type DeclaredStore = z.infer<typeof declaredStoreSchema>;

/** One database of the host's file. Its id follows from environment and name, and is never taken from the wire. */
export const declaredDatabaseSchema = z.object({
  name: z.string().min(1).max(200),
  stores: z.array(declaredStoreSchema).max(50),
  /** Remote actions that the host's file allows. */
  allow: z.array(z.string().max(100)).max(50),
  /** What the file says of schedule and retention: the seed of the policy, as it stands there. */
  policy: z.record(z.string(), z.unknown()),
  /** Its server has it no more; its backups stay. */
  gone: z.boolean().optional(),
  /** Version of the control plane's policy that the agent works by; left out: it works by the file. */
  policyVersion: z.int().positive().optional(),
});
export type DeclaredDatabase = z.infer<typeof declaredDatabaseSchema>;

/** The first message on every connection. */
export const helloSchema = z.object({
  protocol: protocolRangeSchema,
  agentVersion: z.string().max(100),
  hostname: z.string().max(300),
  /** The host's clock at sending, ISO 8601. */
  sentAt: z.iso.datetime(),
  /** Kinds of command that this agent knows; it is sent no other. */
  commandKinds: z.array(z.string().max(100)).max(100),
  /** The journal that reports come from: a new one with every new state directory. */
  journalId: idSchema,
  /** The newest report in it; 0 where there is none. */
  lastSeq: z.int().nonnegative(),
  databases: z.array(declaredDatabaseSchema).max(1000),
  /** Every store this host's file names, also those that none of its databases backs up to: where it can restore from. */
  reachableStoreIds: z.array(idSchema).max(5000),
});
export type Hello = z.infer<typeof helloSchema>;

export const helloAnswerSchema = z.object({
  protocol: z.int(),
  agentId: idSchema,
  environment: z.string(),
  /** The control plane's clock, ISO 8601. */
  serverTime: z.string(),
  /** The newest report of that journal that is recorded; the agent sends what is above it. */
  highWater: z.int().nonnegative(),
  /** Databases that belong to another agent: what is reported of them is refused until somebody moves them. */
  refusedDatabases: z.array(z.object({ name: z.string(), code: z.string(), text: z.string() })),
  /** Whether it keeps policies, which an agent then subscribes to. */
  keepsPolicies: z.boolean().optional(),
});
export type HelloAnswer = z.infer<typeof helloAnswerSchema>;
