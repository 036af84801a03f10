import type { RunProgress } from '@strideiq/protocol';
import { fractionOf, type ReportProgress } from './progress.ts';

/** How far each run under way is, for whoever asks now and then. */
export class ProgressBoard {
  readonly #changed = new Map<string, RunProgress>();

  /** What a run reports its progress to. */
  of(runId: string): ReportProgress {
    return (progress) => {
      const { phase, rows, bytes, rawBytes, table } = progress;
      const known = Object.entries({ rows, bytes, rawBytes, table: table?.slice(0, 300) });
      this.#changed.set(runId, {
        ...Object.fromEntries(known.filter(([, value]) => value !== undefined)),
        runId,
        phase,
        fraction: fractionOf(progress) ?? null,
      });
    };
  }

  /** Those that got on since they were taken last. */
  take(most: number): RunProgress[] {
    const taken = [...this.#changed.values()].slice(0, most);
    for (const { runId } of taken) this.#changed.delete(runId);
    return taken;
  }

  /** It has ended: what is still on the board says less than its outcome. */
  end(runId: string): void {
    this.#changed.delete(runId);
  }
}
