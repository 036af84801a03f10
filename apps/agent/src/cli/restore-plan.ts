import { durationText } from '@strideiq/terminal';
import prettyBytes from 'pretty-bytes';
import type { RestorePlan } from '../restore/plan.ts';

const mostSessions = 8;

/** A plan in the words of people. */
export function describePlan(plan: RestorePlan, name: string): string {
  const { mode, into, takenAt, trust, rows, tables, neededBytes, freeBytes, estimatedSeconds, keptAs } = plan;
  const number = (value: number) => value.toLocaleString('en');
  const size = neededBytes === undefined ? 'not known' : `about ${prettyBytes(neededBytes)}`;
  const free =
    freeBytes === undefined ? 'the server’s disk cannot be seen from here' : `${prettyBytes(freeBytes)} free`;
  const lines: [string, string | undefined][] = [
    ['backup', takenAt === undefined ? `${name}, without a manifest` : `${name}, of ${takenAt}`],
    ['trust', `${trust.trusted ? 'trusted' : 'not trusted'}: ${trust.because}`],
    ['into', mode === 'fresh' ? `${into}, a new database` : `${into}, which is replaced and kept as ${keptAs}`],
    ['rows', rows === undefined ? undefined : `${number(rows)} of ${number(tables ?? 0)} tables`],
    ['versions', versions(plan)],
    ['space', `${size}; ${free}`],
    [
      'time',
      estimatedSeconds === undefined
        ? 'no earlier restore to tell by'
        : `about ${durationText(estimatedSeconds * 1000)}`,
    ],
    ['sessions', sessions(plan)],
  ];
  const shown = lines.filter(([, text]) => text !== undefined);
  return ['Would restore, and has done nothing:', ...shown.map(([what, text]) => `  ${what.padEnd(9)} ${text}`)].join(
    '\n',
  );
}

function versions({ serverVersions: { source, targetNumber } }: RestorePlan): string {
  const target = `${Math.floor(targetNumber / 10_000)}.${targetNumber % 10_000}`;
  return source === undefined ? `to PostgreSQL ${target}` : `from PostgreSQL ${source} to ${target}`;
}

function sessions({ sessions: all }: RestorePlan): string | undefined {
  if (!all) return undefined;
  if (all.length === 0) return 'none to end just now';
  const named = all
    .slice(0, mostSessions)
    .map(({ user, application, count }) => `${count} of ${user}${application === '' ? '' : ` (${application})`}`);
  return `${named.join(', ')}${all.length > mostSessions ? ' and others' : ''} would be ended`;
}
