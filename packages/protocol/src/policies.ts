import { idSchema } from '@strideiq/core';
import { z } from 'zod';

/** Somebody wants a backup kept, whatever the policy says. */
export const pushedPinSchema = z.object({
  /** Of the dump: `app_20260111_030000.sql.gz`. */
  objectName: z.string().min(1).max(400),
  reason: z.string().max(1000),
  /** ISO 8601; null: until it is taken off. */
  until: z.iso.datetime().nullable(),
});
export type PushedPin = z.infer<typeof pushedPinSchema>;

/** The policy of one database as the control plane keeps it now. */
export const pushedPolicySchema = z.object({
  databaseId: idSchema,
  version: z.int().positive(),
  /** Core's `Policy`, of the control plane's version of it. */
  policy: z.record(z.string(), z.unknown()),
  pins: z.array(pushedPinSchema).max(1000),
});
export type PushedPolicy = z.infer<typeof pushedPolicySchema>;

/** All that an agent is to know of policies: those that are not in it any more are kept no longer. Sent anew at each change. */
export const policiesSchema = z.object({ policies: z.array(pushedPolicySchema).max(1000) });
export type Policies = z.infer<typeof policiesSchema>;
