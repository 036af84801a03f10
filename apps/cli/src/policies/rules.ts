import { ruleNames, scenarios, type Policy, type RetentionRules, type Scenario } from '@strideiq/core';
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

/** Of every scenario, or of one. */
interface Goal {
  scenarios: readonly Scenario[];
  /** Null: no objective; left out: as it was. */
  rpoMs?: number | null;
  rtoMs?: number | null;
}

/**
 * `dataDeletion=rpo:24h,rto:30m`, `all=rto:none` as objectives.
 * @throws CliError `UsageInvalid`
 */
export function goalOf(said: string): Goal {
  const [, name, words = ''] = /^([A-Za-z]+)=(.+)$/.exec(said) ?? [];
  const named = name === 'all' ? scenarios : scenarios.filter((each) => each === name);
  const goal: Goal = { scenarios: named };
  for (const word of words.split(',')) {
    const [, kind, limit = ''] = /^(rpo|rto):(\S+)$/.exec(word.trim()) ?? [];
    if (named.length === 0 || kind === undefined) {
      throw new CliError(
        'UsageInvalid',
        `${JSON.stringify(said)} does not say an objective.`,
        `Say --goal SCENARIO=rpo:24h,rto:1h, none for no objective; scenarios are ${scenarios.join(', ')}, or all.`,
      );
    }
    goal[kind === 'rpo' ? 'rpoMs' : 'rtoMs'] = limit === 'none' ? null : durationOf('--goal', limit);
  }
  return goal;
}

const byteUnits = { '': 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };
const thresholds = {
  smallerThan: 'smallerThan',
  leastSize: 'leastBytes',
  rowsLost: 'rowsLost',
  longerThan: 'longerThan',
  diskFree: 'diskFreeBytes',
} as const;

/**
 * `rowsLost=0.3`, `diskFree=20GB` as thresholds; `drillOverdue=off` and `drillOverdue=on` as whether somebody is told of a rule.
 * @throws CliError `UsageInvalid`
 */
export function changeAlerts(alerts: Policy['alerts'], said: string): void {
  const [, name = '', value = ''] = /^([A-Za-z]+)=(.+)$/.exec(said) ?? [];
  if (ruleNames.some((rule) => rule === name) && (value === 'on' || value === 'off')) {
    alerts.off = [...alerts.off.filter((rule) => rule !== name), ...(value === 'off' ? [name] : [])];
    return;
  }
  const [, count, unit = ''] = /^(\d+(?:\.\d+)?)([kMGT]?B)?$/.exec(value) ?? [];
  const known = Object.entries(thresholds).find(([key]) => key === name)?.[1];
  const isSize = known === 'leastBytes' || known === 'diskFreeBytes';
  if (known === undefined || count === undefined || (unit !== '' && !isSize)) {
    throw new CliError(
      'UsageInvalid',
      `${JSON.stringify(said)} does not say from when on somebody is told.`,
      `Say --alert NAME=VALUE: ${Object.keys(thresholds).join(', ')}, such as rowsLost=0.3 or diskFree=20GB; or --alert RULE=off, RULE=on.`,
    );
  }
  alerts[known] = Number(count) * (isSize ? (byteUnits[unit as keyof typeof byteUnits] ?? 1) : 1);
}
