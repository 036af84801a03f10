import { idSchema } from '@strideiq/core';
import { z } from 'zod';

/** How far one run is. Lives in memory on both sides, and is lost without harm. */
export const runProgressSchema = z.object({
  runId: idSchema,
  /** `dumping`, `restoring` … for people. */
  phase: z.string().max(100),
  /** 0 to 1; null where nobody can tell. */
  fraction: z.number().min(0).max(1).nullable(),
  rows: z.number().nonnegative().optional(),
  /** Compressed bytes. */
  bytes: z.number().nonnegative().optional(),
  /** Bytes of SQL. */
  rawBytes: z.number().nonnegative().optional(),
  /** The table that was under way last. */
  table: z.string().max(300).optional(),
  /** All that were since the last message. */
  tables: z.array(z.string().max(300)).max(16).optional(),
});
export type RunProgress = z.infer<typeof runProgressSchema>;

/** Sent at most every `progressIntervalMs`. */
export const progressSchema = z.object({ runs: z.array(runProgressSchema).max(100) });
export type ProgressMessage = z.infer<typeof progressSchema>;
