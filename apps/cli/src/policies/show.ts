import type { KeptPolicy } from '@strideiq/control-plane/router';
import { scenarioNames, scenarios, sizeText } from '@strideiq/core';
import { durationText, table } from '@strideiq/terminal';
import { momentText } from '../moments.ts';
import { databaseName, findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';
import { rulesText } from './rules.ts';

/** `policy show DATABASE`: what is in force, since when, and whether the agent goes by it. */
export async function showPolicy({ client, output }: Command, reference: string): Promise<number> {
  const database = await findDatabase(client, reference);
  const kept = await client.policies.get.query({ databaseId: database.id });
  output.result(kept, policyText(databaseName(database), kept));
  if (kept.runs !== kept.version) output.note(behindText(kept));
  return 0;
}

/** `policy history DATABASE`: every version, the newest first. */
export async function policyHistory({ client, output }: Command, reference: string): Promise<number> {
  const { id: databaseId } = await findDatabase(client, reference);
  const items = [];
  for (let before: number | undefined; ;) {
    const page = await client.policies.versions.query({ databaseId, ...(before === undefined ? {} : { before }) });
    items.push(...page.items);
    before = page.items.at(-1)?.version;
    if (before === undefined || before === 1) break;
  }
  const rows = items.map(({ version, changedAt, changedBy, policy }) => [
    String(version),
    momentText(changedAt),
    changedBy,
    linesOf(policy).join('; '),
  ]);
  output.result({ items }, table(['VERSION', 'SINCE', 'BY', 'POLICY'], rows, [0]));
  return 0;
}

export function policyText(name: string, { version, changedAt, changedBy, policy }: KeptPolicy): string {
  const head = `${name}: version ${version}, since ${momentText(changedAt)}, by ${changedBy}`;
  return [head, ...[...linesOf(policy), ...goalsOf(policy)].map((line) => `  ${line}`)].join('\n');
}

function behindText({ runs, version }: KeptPolicy): string {
  if (runs === null) return `Its agent has not said yet that it goes by version ${version}; until then by its file.`;
  return `Its agent goes by version ${runs}, and has not said yet that it goes by version ${version}.`;
}

/** What is promised of it, and from when on somebody is told. */
function goalsOf({ objectives, alerts }: KeptPolicy['policy']): string[] {
  const limit = (ms: number | null) => (ms === null ? 'none' : durationText(ms));
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  const { smallerThan, rowsLost, longerThan, diskFreeBytes, off } = alerts;
  return [
    ...scenarios.map((scenario) => {
      const { rpoMs, rtoMs } = objectives[scenario];
      return `goal     ${scenarioNames[scenario]}: RPO ${limit(rpoMs)}, RTO ${limit(rtoMs)}`;
    }),
    `alerts   a backup below ${percent(smallerThan)} of the usual, a table that lost ${percent(rowsLost)}, a run of ${longerThan} times the usual, a disk with less than ${sizeText(diskFreeBytes)}`,
    ...(off.length === 0 ? [] : [`off      ${off.join(', ')}`]),
  ];
}

function linesOf({
  schedule,
  timezone,
  jitterMs,
  catchUp,
  catchUpLimitMs,
  runLimitMs,
  pause,
  verify,
  drill,
  retention,
}: KeptPolicy['policy']): string[] {
  const late = catchUp ? `made up to ${durationText(catchUpLimitMs)} late` : 'not made late';
  return [
    ...(pause ? [`paused until ${momentText(pause.until)}: ${pause.reason}`] : []),
    ...schedule.map(
      ({ cron, stores }) => `backup   ${cron}${stores ? ` into ${stores.join(', ')}` : ''} (${timezone})`,
    ),
    ...(schedule.length === 0 ? ['backup   only when asked'] : []),
    ...(jitterMs === 0 ? [] : [`jitter   up to ${durationText(jitterMs)}`]),
    `missed   ${late}`,
    ...(runLimitMs === undefined ? [] : [`limit    ${durationText(runLimitMs)} for a run`]),
    `verify   ${verify.afterBackup ? 'directories after each backup; ' : ''}buckets ${verify.schedule}`,
    `drill    ${drill.schedule ?? 'only when asked'}`,
    ...Object.entries(retention).map(([store, rules]) => `keep     ${store}: ${rulesText(rules)}`),
    ...(Object.keys(retention).length === 0 ? ['keep     as usual: 7 days in directories, 30 in buckets'] : []),
  ];
}
