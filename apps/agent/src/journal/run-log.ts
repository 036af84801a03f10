import { phaseWords, type Progress, type ReportProgress } from '../progress/progress.ts';
import type { Journal } from './journal.ts';

/** More changes of phase than any work has; whatever goes on after them is in the progress. */
const mostPhases = 30;

/** Passes progress on, and writes each phase that begins into the run's log. */
export function loggingPhases(journal: Journal, runId: string, report: ReportProgress): ReportProgress {
  let phase: Progress['phase'] | undefined;
  let phases = 0;
  return (progress) => {
    if (progress.phase !== phase && phases < mostPhases) {
      phase = progress.phase;
      phases++;
      log(journal, runId, 'info', phaseWords[phase]);
    }
    report(progress);
  };
}

/** One line of a run's log. No run fails because a line of it could not be written. */
export function log(journal: Journal, runId: string, level: 'info' | 'warn' | 'error', text: string): void {
  try {
    journal.log(runId, level, text);
  } catch {
    // The outcome will not be written either then, and says why.
  }
}
