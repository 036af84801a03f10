import type { RunProgress } from '@strideiq/protocol';
import { fractionOf, type ReportProgress } from './progress.ts';

/** How far each run under way is, for whoever asks now and then. */
export class ProgressBoard {
  readonly #changed = new Map<string, RunProgress>();
  /** Of a load over several connections the last word tells of one table only. */
  readonly #tables = new Map<string, Set<string>>();

  /** What a run reports its progress to. */
  of(runId: string): ReportProgress {
    return (progress) => {
      const { phase, rows, bytes, rawBytes, table } = progress;
      const known = Object.entries({ rows, bytes, rawBytes, table: table?.slice(0, 300) });
      const tables = this.#tables.get(runId) ?? new Set();
      if (table !== undefined && tables.size < mostTables) this.#tables.set(runId, tables.add(table.slice(0, 300)));
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
    return taken.map((progress) => {
      const { runId, table } = progress;
      const tables = table === undefined ? undefined : this.#tables.get(runId);
      this.end(runId);
      return tables ? { ...progress, tables: [...tables] } : progress;
    });
  }

  /** It has ended: what is still on the board says less than its outcome. */
  end(runId: string): void {
    this.#changed.delete(runId);
    this.#tables.delete(runId);
  }
}

const mostTables = 16;
