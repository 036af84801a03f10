import type { ShownScenario } from '@strideiq/control-plane/router';
import { durationText, table } from '@strideiq/terminal';
import { momentText } from '../moments.ts';
import { databaseName, findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';

/** `objectives DATABASE [--days COUNT]`: RPO and RTO by scenario, beside what was measured. Exit code 1 where one is broken now. */
export async function objectives(
  { client, output }: Command,
  reference: string,
  { days }: { days: number },
): Promise<number> {
  const database = await findDatabase(client, reference);
  const report = await client.objectives.report.query({ databaseId: database.id, days });
  const head = `${databaseName(database)}, since ${momentText(report.since)}`;
  output.result(report, `${head}\n${objectivesTable(report.scenarios)}`);
  const broken = report.scenarios.filter(isBroken);
  for (const { name } of broken) output.problem(`${name}: an objective is not met.`);
  return broken.length === 0 ? 0 : 1;
}

function isBroken({ rpoMs, dataAgeMs, rtoMs, restoreMs }: ShownScenario): boolean {
  const isOver = (objective: number | null, measured: number | null) =>
    objective !== null && measured !== null && measured > objective;
  return isOver(rpoMs, dataAgeMs) || isOver(rtoMs, restoreMs) || (rpoMs !== null && dataAgeMs === null);
}

export function objectivesTable(items: readonly ShownScenario[]): string {
  const text = (ms: number | null) => (ms === null ? '-' : durationText(ms, 0));
  const share = (met: number | null) => (met === null ? '-' : `${(met * 100).toFixed(1)} %`);
  return table(
    ['SCENARIO', 'RPO', 'DATA NOW', 'WORST', 'MET', 'RTO', 'LAST RESTORE', 'WORST', 'MET'],
    items.map((each) => [
      each.name,
      text(each.rpoMs),
      text(each.dataAgeMs),
      text(each.worstDataAgeMs),
      share(each.rpoMet),
      text(each.rtoMs),
      text(each.restoreMs),
      text(each.worstRestoreMs),
      share(each.rtoMet),
    ]),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
}
