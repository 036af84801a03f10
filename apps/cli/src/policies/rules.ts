import type { Policy, RetentionRules } from '@strideiq/core';
import { CliError } from '../errors.ts';

/** Words of the command line for parts of a policy. */

const unitsMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `30s`, `5m`, `2h`, `7d` in milliseconds. @throws CliError `UsageInvalid` */
export function durationOf(option: string, said: string): number {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(said) ?? [];
  if (count !== undefined) return Number(count) * unitsMs[unit as keyof typeof unitsMs];
  throw new CliError('UsageInvalid', `${JSON.stringify(said)} is no duration.`, `Say ${option} 30m (s, m, h, d).`);
}

const units = ['days', 'count', 'daily', 'weekly', 'monthly', 'yearly'] as const;

/**
 * `s3=days:30,monthly:12` as the rules of a store; `s3=usual` as none, so that the usual ones are gone by.
 * @throws CliError `UsageInvalid`
 */
export function rulesOf(said: string): { store: string; rules: RetentionRules | undefined } {
  const [, store, words = ''] = /^([^=]+)=(.+)$/.exec(said) ?? [];
  if (store === undefined) throw rulesInvalid(said);
  if (words === 'usual') return { store, rules: undefined };
  const rules: RetentionRules = {};
  for (const word of words.split(',')) {
    const [, unit, count] = /^([a-z]+):(\d{1,5})$/.exec(word.trim()) ?? [];
    const known = units.find((each) => each === unit);
    if (known === undefined) throw rulesInvalid(said);
    rules[known] = Number(count);
  }
  return { store, rules };
}

function rulesInvalid(said: string): CliError {
  return new CliError(
    'UsageInvalid',
    `${JSON.stringify(said)} does not say what a store keeps.`,
    `Say --keep STORE=days:30,monthly:12 (${units.join(', ')}), or --keep STORE=usual.`,
  );
}

/** `0 3 * * *` for all stores, `s3=0 3 * * *` or `local,s3=0 3 * * *` for some. */
export function lineOf(said: string): Policy['schedule'][number] {
  const [, stores, cron] = /^([^=]+)=(.+)$/.exec(said) ?? [];
  return stores === undefined || cron === undefined
    ? { cron: said.trim() }
    : { cron: cron.trim(), stores: stores.split(',').map((name) => name.trim()) };
}

export function rulesText(rules: RetentionRules): string {
  return (
    units.flatMap((unit) => (rules[unit] === undefined ? [] : [`${unit}:${rules[unit]}`])).join(',') || 'the newest'
  );
}
