import { CoreError } from './errors.ts';

const form = /^before:(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d)?)?$/;

/**
 * The moment of a reference `before:TIME`, which means the newest backup whose data are older than that. TIME is a day,
 * which begins at midnight, or a day and a time; in UTC, as names and lists have it, unless it says another zone.
 * @returns undefined where the reference is of another kind
 * @throws CoreError `ReferenceInvalid`
 */
export function momentOfBefore(reference: string): Date | undefined {
  if (!reference.startsWith('before:')) return undefined;
  const [, day = '', time = '00:00', zone = 'Z'] = form.exec(reference) ?? [];
  const moment = new Date(`${day}T${time}${zone}`);
  // Date itself takes the 30th of February for the 2nd of March.
  if (!Number.isNaN(moment.getTime()) && new Date(`${day}T00:00Z`).toISOString().startsWith(day)) return moment;
  throw new CoreError(
    'ReferenceInvalid',
    `${JSON.stringify(reference)} names no moment.`,
    'Write before:2026-01-11, or with a time: before:2026-01-11T03:00 (UTC), before:2026-01-11T04:00+01:00.',
  );
}
