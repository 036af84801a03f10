import { safeName } from '@strideiq/core';
import { z } from 'zod';

/** The kinds of value that keys of the host's file share, each with what would be right in its message. */

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

/** A program and its arguments, each word an item of its own; nothing of it passes through a shell. */
export const commandSchema = z.array(z.string(), {
  error: 'must be a list of words, such as [docker, compose, stop, api]',
});

const ranges = [
  { name: 'minute', from: 0, to: 59, words: [] },
  { name: 'hour', from: 0, to: 23, words: [] },
  { name: 'day of month', from: 1, to: 31, words: [] },
  { name: 'month', from: 1, to: 12, words: 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ') },
  { name: 'day of week', from: 0, to: 7, words: 'sun mon tue wed thu fri sat'.split(' ') },
] as const;

/** What is wrong with a cron line of five fields (crontab(5), without `@daily` and its like); undefined where it is right. */
export function cronProblem(text: string): string | undefined {
  const fields = text.trim().split(/\s+/);
  if (fields.length !== ranges.length) {
    return `must be five fields, minute hour day-of-month month day-of-week, such as "0 3 * * *"; it has ${fields.length}`;
  }
  for (const [at, range] of ranges.entries()) {
    const field = fields[at] ?? '';
    if (!field.split(',').every((item) => isCronItem(item, range))) {
      return `has the ${range.name} ${JSON.stringify(field)}; it can be *, ${range.from}-${range.to}, lists and steps of them`;
    }
  }
  return undefined;
}

function isCronItem(item: string, range: (typeof ranges)[number]): boolean {
  const match = /^(?:(\*)|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/.exec(item);
  if (!match) return false;
  const [, star, first, last, step] = match;
  if (step !== undefined && Number(step) < 1) return false;
  if (star !== undefined) return true;
  const from = cronNumber(first ?? '', range);
  const to = last === undefined ? from : cronNumber(last, range);
  // `5/10` means different things to different crons.
  return from !== undefined && to !== undefined && from <= to && (step === undefined || last !== undefined);
}

function cronNumber(text: string, range: (typeof ranges)[number]): number | undefined {
  const word = (range.words as readonly string[]).indexOf(text.toLowerCase());
  const value = word < 0 ? Number(/^\d+$/.exec(text)?.[0] ?? Number.NaN) : word + range.from;
  return value >= range.from && value <= range.to ? value : undefined;
}

/** A cron line. */
export const cronSchema = z.string().superRefine((text, context) => {
  const problem = cronProblem(text);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

/** Whether this Node.js knows the zone; offsets such as `+02:00` are no zones, since they know no summer time. */
export function isTimeZone(text: string): boolean {
  if (!/^[A-Za-z]/.test(text)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** An IANA time zone. */
export const timeZoneSchema = z
  .string()
  .refine(isTimeZone, 'must be a time zone by its IANA name, such as UTC or Europe/Berlin');
