import { TimeLeft } from '@strideiq/core';
import type { RunProgress } from '@strideiq/protocol';

/** How far a run is by its agent's last word. */
export interface LiveProgress extends RunProgress {
  receivedAt: number;
  /** When its last word was another than the one before. */
  movedAt: number;
  /** Of its phase; undefined where nobody can tell. */
  remainingMs: number | undefined;
}

/** What runs do at this moment: progress, which is never written down, and the news that something of a run changed. */
export class LiveRuns {
  readonly #progress = new Map<string, LiveProgress>();
  readonly #timeLeft = new Map<string, TimeLeft>();
  readonly #watchers = new Map<string, Set<() => void>>();

  /** Undefined where nothing was heard, or the run has ended. */
  progressOf(runId: string): LiveProgress | undefined {
    return this.#progress.get(runId);
  }

  /**
   * Yields once at once, and then after each change of the run's state, log or progress, until `signal` aborts. Changes
   * that come faster than they are taken are one: whoever reads looks at the run itself. It does not end with the run.
   */
  async *changes(runId: string, signal: AbortSignal): AsyncGenerator<void, void, undefined> {
    let news = Promise.withResolvers<void>();
    const tell = () => news.resolve();
    const watchers = this.#watchers.get(runId) ?? new Set();
    this.#watchers.set(runId, watchers.add(tell));
    signal.addEventListener('abort', tell);
    try {
      while (!signal.aborted) {
        yield;
        await news.promise;
        news = Promise.withResolvers();
      }
    } finally {
      signal.removeEventListener('abort', tell);
      watchers.delete(tell);
      if (watchers.size === 0) this.#watchers.delete(runId);
    }
  }

  /** Takes an agent's word of a run that is its own and open; who calls has seen to that. */
  setProgress(progress: RunProgress, receivedAt: number): void {
    const { runId, phase, fraction } = progress;
    const timeLeft = this.#timeLeft.get(runId) ?? new TimeLeft();
    this.#timeLeft.set(runId, timeLeft);
    const remainingMs = timeLeft.at(phase, fraction ?? undefined, receivedAt);
    const before = this.#progress.get(runId);
    const movedAt = before && isSame(before, progress) ? before.movedAt : receivedAt;
    this.#progress.set(runId, { ...progress, receivedAt, movedAt, remainingMs });
    this.changed(runId);
  }

  /** Says that something of a run changed. Called after the commit. */
  changed(runId: string): void {
    for (const tell of this.#watchers.get(runId) ?? []) tell();
  }

  /** A run that has ended goes no further. */
  ended(runId: string): void {
    this.#progress.delete(runId);
    this.#timeLeft.delete(runId);
    this.changed(runId);
  }
}

const toldKeys = ['phase', 'fraction', 'rows', 'bytes', 'rawBytes', 'table'] as const;

function isSame(before: RunProgress, after: RunProgress): boolean {
  return toldKeys.every((key) => before[key] === after[key]);
}
