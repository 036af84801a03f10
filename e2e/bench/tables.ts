import type { Grown } from './growth-suite.ts';
import type { OneTable } from './one-table.ts';
import type { Result } from './rounds.ts';
import { targets, type Findings, type Target } from './targets.ts';

const none = '–';
const seconds = (ms: number | undefined): string => (ms === undefined ? none : (ms / 1000).toFixed(1));
const ratioText = (value: number | undefined): string => (value === undefined ? none : value.toFixed(2));
const megabytes = (bytes: number | undefined): string => (bytes ? (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0) : none);
const percent = (share: number | undefined): string => (share === undefined ? none : `${(share * 100).toFixed(0)} %`);

/** @returns a table of Markdown: the first column to the left, the others to the right */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = `| ${head.map((_, at) => (at === 0 ? '---' : '---:')).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

/** @param baseline with whose wall clock the others are compared */
export function resultTable(results: readonly Result[], baseline: string): string {
  const other = results.find(({ name }) => name === baseline);
  return markdownTable(
    ['', 'wall s', 'spread', `to ${baseline}`, 'CPU s, client + server', 'MB', 'peak MB'],
    results.map((result) => [
      result.name,
      seconds(result.median('wallMs')),
      percent(result.spread('wallMs')),
      ratioText(result.wallRatio(other)),
      `${seconds(result.median('clientCpuMs'))} + ${seconds(result.median('serverCpuMs'))}`,
      megabytes(result.median('bytes')),
      megabytes(result.median('peakBytes')),
    ]),
  );
}

export function targetTable(suite: Target['suite'], findings: Findings): string {
  const rows = targets
    .filter((target) => target.suite === suite)
    .map((target) => {
      const value = target.measured(findings);
      const verdict = value === undefined ? 'not measured' : value <= target.most ? 'met' : '**not met**';
      return [target.what, `≤ ${valueText(target, target.most)}`, valueText(target, value), verdict];
    });
  return markdownTable(['to reach', '', 'measured', ''], rows);
}

function valueText({ unit }: Target, value: number | undefined): string {
  if (value === undefined) return none;
  return unit === 'MB' ? `${value.toFixed(0)} MB` : value.toFixed(value < 0.1 ? 3 : 2);
}

export function oneTableText({ table, share, objectBytes, readBytes, wallMs }: OneTable): string {
  return (
    `One table restored from S3: \`${table}\`, ${(share * 100).toFixed(2)} % of the database. ` +
    `${(readBytes / 1e6).toFixed(1)} MB of the dump were read of ${(objectBytes / 1e6).toFixed(0)} MB, ` +
    `${((readBytes / objectBytes) * 100).toFixed(1)} %, in ${seconds(wallMs)} s.`
  );
}

export function growthTable(grown: readonly Grown[]): string {
  return markdownTable(
    ['SQL, MB', 'object, MB', 'dump s', 'MB/s', 'to gzip -6', 'peak MB', 'restore s', 'MB/s', 'to psql', 'peak MB'],
    grown.map(({ rawBytes, bytes, dump, restore }) => [
      megabytes(rawBytes),
      megabytes(bytes),
      ...[dump, restore].flatMap(({ wallMs, stockMs, peakBytes }) => [
        seconds(wallMs),
        (rawBytes / 1000 / wallMs).toFixed(0),
        ratioText(wallMs / stockMs),
        megabytes(peakBytes),
      ]),
    ]),
  );
}
