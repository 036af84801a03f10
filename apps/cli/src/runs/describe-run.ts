import type { LogLine, Run } from '@strideiq/control-plane/router';
import { durationText } from '@strideiq/terminal';
import prettyBytes from 'pretty-bytes';
import { momentText } from '../moments.ts';
import { databaseName } from '../names/find-database.ts';

/** What is known of a run, for people. */
export function describeRun(run: Run, log: readonly LogLine[] = []): string {
  const { id, kind, state, requestedBy, restore, drill, error, warnings, backupId, rows, bytes } = run;
  const of = databaseName({ ...run, name: run.database });
  const pairs: [string, string | undefined][] = [
    ['asked by', requestedBy === null ? 'the host itself' : `${requestedBy.name ?? 'a key'} (${requestedBy.keyId})`],
    ['begun', run.startedAt === null ? undefined : momentText(run.startedAt)],
    ['took', tookText(run)],
    ['backup', backupId ?? undefined],
    ['from', restore?.source],
    ['into', restore?.into ?? saidTarget(run)],
    ['kept as', restore?.keptAs ?? undefined],
    [
      'undone',
      typeof restore?.undoneAs !== 'string' ? undefined : `the restored database is kept as ${restore.undoneAs}`,
    ],
    ['safety', restore?.safetyBackupId ?? undefined],
    ['rows', (restore?.rows ?? drill?.rows ?? rows)?.toLocaleString('en')],
    ...drillPairs(drill),
    ['size', bytes === null ? undefined : prettyBytes(bytes)],
    ['error', error === null ? undefined : `${error.code}: ${error.text}`],
    ...warnings.map((text): [string, string] => ['warning', text]),
  ];
  return [
    `Run ${id}: ${kind} of ${of} ${stateText(run)}`,
    ...pairs.flatMap(([name, text]) => (text === undefined ? [] : [`  ${name.padEnd(8)}  ${text}`])),
    ...(log.length > 0 ? ['', ...log.map(logText)] : []),
  ].join('\n');

  function stateText({ progress }: Run): string {
    if (state === 'running' && progress !== null) return `is running, ${Math.floor(progress * 100)} % done`;
    return state === 'succeeded' || state === 'failed' || state === 'expired' ? state : `is ${state}`;
  }
}

/** What a drill has proven. */
function drillPairs(drill: Run['drill']): [string, string][] {
  if (!drill) return [];
  const { restoreMs, countsAsRto, dataAgeMs, sampledRows, sampledTables, assertions } = drill;
  return [
    ['restored', `in ${durationText(restoreMs)}${countsAsRto ? ' (RTO)' : ', with other storage than production’s'}`],
    ['data', `of ${durationText(dataAgeMs)} before (RPO)`],
    ['sampled', `${sampledRows.toLocaleString('en')} rows of ${sampledTables} tables, one by one`],
    ['asserted', String(assertions)],
  ];
}

/** What the run has taken, by the host's own clock alone: the two clocks may differ. */
export function tookText({ startedAt, finishedAt }: Pick<Run, 'startedAt' | 'finishedAt'>): string | undefined {
  if (startedAt === null || finishedAt === null) return undefined;
  return durationText(Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt)));
}

export function logText({ at, level, text }: LogLine): string {
  return `${momentText(at)}  ${level === 'info' ? '' : `${level}: `}${text}`;
}

function saidTarget({ request }: Run): string | undefined {
  const into = request?.['into'];
  return typeof into === 'string' ? into : undefined;
}
