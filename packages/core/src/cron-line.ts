import { z } from 'zod';
import { DueMoments } from './schedule.ts';

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
  const problem = cronProblem(text) ?? neverProblem(text);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

/** The 30th of February and its like. */
function neverProblem(text: string): string | undefined {
  const isEver =
    new DueMoments({ line: text, timezone: 'UTC' }).after(Date.parse('2024-01-01T00:00:00Z')) !== undefined;
  return isEver ? undefined : 'names a moment that never comes';
}

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
