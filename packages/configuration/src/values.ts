import { safeName } from '@strideiq/core';
import { z } from 'zod';

/** The kinds of value that keys of our files share, each with what would be right in its message. */

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const duration = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** `90s`, `5m`, `1.5h`, `7d` in milliseconds; undefined for what is no duration. */
export function durationMs(text: string): number | undefined {
  const match = duration.exec(text);
  if (!match) return undefined;
  return Math.round(Number(match[1]) * unitMs[match[2] as keyof typeof unitMs]);
}

const durationWords = 'must be a number with its unit, such as 30s, 5m, 2h or 7d';

/** A duration, given in milliseconds once parsed. */
export const durationSchema = z
  .string({ error: durationWords })
  .regex(duration, { error: durationWords })
  .transform((text) => durationMs(text) ?? 0);

const unitBytes = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;
const size = /^(\d+(?:\.\d+)?)(B|kB|MB|GB|KiB|MiB|GiB)$/;

/** `500kB`, `32MB`, `1.5GiB` in bytes; undefined for what is no size. */
export function sizeBytes(text: string): number | undefined {
  const match = size.exec(text);
  return match ? Math.round(Number(match[1]) * unitBytes[match[2] as keyof typeof unitBytes]) : undefined;
}

const sizeWords = 'must be a number with its unit, such as 500kB, 32MB or 2GiB';

/** A size, given in bytes once parsed. */
export const sizeSchema = z
  .string({ error: sizeWords })
  .regex(size, { error: sizeWords })
  .transform((text) => sizeBytes(text) ?? 0);

/** A name that can stand in object names, URLs and metrics as it is. */
export const nameSchema = z
  .string()
  .regex(safeName, 'must be letters, digits, dot, dash and underscore, beginning with a letter or digit');

/** Text that may not be empty. */
export const textSchema = z.string().min(1, 'must not be empty');

/** Name of an environment variable. */
export const variableSchema = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of an environment variable, such as PGPASSWORD');
