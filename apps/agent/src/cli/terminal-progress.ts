import type { Output } from '@strideiq/terminal';
import prettyBytes from 'pretty-bytes';
import type { Progress, ReportProgress } from '../progress/progress.ts';

const phases: Record<Progress['phase'], string> = {
  preparing: 'Preparing',
  dumping: 'Dumping',
  privileges: 'Reading owners and grants',
  storing: 'Storing the last bytes',
  reading: 'Reading back',
  restoring: 'Restoring',
  analyzing: 'Gathering statistics',
  comparing: 'Comparing',
  clearing: 'Clearing',
};

/** Shows how far work is in the words of people, with the speed of the phase that is under way. */
export function progressOn(output: Output): ReportProgress {
  let phase: Progress['phase'] | undefined;
  let phaseBegan = 0;
  return (progress) => {
    if (progress.phase !== phase) {
      phase = progress.phase;
      phaseBegan = performance.now();
    }
    const { rawBytes, expectedRawBytes } = progress;
    output.progress({
      name: phases[phase],
      // The size on disk only tells about how much SQL there will be: never say that it is done before it is.
      fraction: expectedRawBytes ? Math.min(0.99, (rawBytes ?? 0) / expectedRawBytes) : undefined,
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
