import type { Output } from '@strideiq/terminal';
import prettyBytes from 'pretty-bytes';
import { fractionOf, phaseWords, type Progress, type ReportProgress } from '../progress/progress.ts';

/** Shows how far work is in the words of people, with the speed of the phase that is under way. */
export function progressOn(output: Output): ReportProgress {
  let phase: Progress['phase'] | undefined;
  let phaseBegan = 0;
  return (progress) => {
    if (progress.phase !== phase) {
      phase = progress.phase;
      phaseBegan = performance.now();
    }
    output.progress({
      name: phaseWords[phase],
      fraction: fractionOf(progress),
      details: () => detailsOf(progress, (performance.now() - phaseBegan) / 1000),
      announced: phase === 'dumping' || phase === 'restoring',
    });
  };
}

function detailsOf({ phase, rawBytes, bytes, rows, table }: Progress, seconds: number): string[] {
  const parts = [];
  if (rawBytes !== undefined) {
    parts.push(prettyBytes(rawBytes));
    if (bytes !== undefined && phase === 'dumping') parts.push(`→ ${prettyBytes(bytes)}`);
    if (seconds > 0.5) parts.push(`${prettyBytes(rawBytes / seconds)}/s`);
  }
  if (rows) parts.push(`${rows.toLocaleString('en')} rows`);
  if (table !== undefined) parts.push(table);
  return parts;
}
