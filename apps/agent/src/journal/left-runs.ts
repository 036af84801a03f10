import { dirname } from 'node:path';
import { and, desc, eq, gt, inArray } from 'drizzle-orm';
import { swapLockFile } from '../in-place/swap-lock.ts';
import { FileLock } from './file-lock.ts';
import type { JournalDatabase } from './open-journal.ts';
import { isAlive, isThisProcess, thisProcess } from './process-identity.ts';
import { runs, type Run } from './schema.ts';

const weekMs = 7 * 24 * 3_600_000;

/**
 * Runs that the daemon is at, where it asks: it is the only one of its state directory, so that every other run that a
 * command asked for was an earlier daemon's, and every other run of its own process it has let go of.
 */
export type RunsUnderWay = Pick<ReadonlySet<string>, 'has'>;

/** Runs that somebody has to look after, since their process is gone or could not clear behind itself. */
export class LeftRuns {
  readonly #db: JournalDatabase;
  readonly #now: () => number;

  constructor(db: JournalDatabase, now: () => number) {
    this.#db = db;
    this.#now = now;
  }

  /** Makes an abandoned run this process's own to finish; false where another process was quicker. */
  adopt(run: Run): boolean {
    const { changes } = this.#db
      .update(runs)
      .set({ owner: thisProcess() })
      .where(and(eq(runs.id, run.id), eq(runs.owner, run.owner)))
      .run();
    return changes === 1;
  }

  /**
   * Runs that say they are under way although their process is gone.
   * @param underWay left out where the daemon is another process
   */
  abandoned(databaseIds: readonly string[], underWay?: RunsUnderWay): Run[] {
    return this.#open(databaseIds).filter((run) => !this.#isAtWork(run, underWay));
  }

  /** Whether any process is at work on one of these databases. */
  isBusy(databaseIds: readonly string[], underWay?: RunsUnderWay): boolean {
    return this.#open(databaseIds).some((run) => this.#isAtWork(run, underWay));
  }

  /** Whether somebody reads backups just now, of whichever of these databases. */
  isReading(databaseIds: readonly string[]): boolean {
    return this.#open(databaseIds).some((run) => run.kind !== 'backup' && this.#isAtWork(run, undefined));
  }

  #isAtWork(run: Run, underWay: RunsUnderWay | undefined): boolean {
    // Those of a container that was started anew are known to be dead by this alone.
    const { commandId, dueAt } = run.detail;
    const isDaemons = (commandId ?? dueAt) !== undefined || isThisProcess(run.owner);
    if (underWay && isDaemons) return underWay.has(run.id);
    // Its lock tells for sure, also of another container, where an application that was stopped should not wait for a day.
    if (run.detail.inPlace) return FileLock.isHeld(swapLockFile(dirname(this.#db.$client.name), run.databaseId));
    return isAlive(run.owner, this.#now() - run.startedAt);
  }

  /**
   * Ids of runs that have not ended, newest first. One that nobody could end for a week, its store or server being gone for
   * good, or whose database this host looks after no more, is given up: its outcome is still told where it is found.
   */
  open(databaseIds: readonly string[], most: number): string[] {
    return this.#open(databaseIds)
      .filter(({ startedAt }) => startedAt > this.#now() - weekMs)
      .toSorted((one, other) => other.startedAt - one.startedAt)
      .slice(0, most)
      .map(({ id }) => id);
  }

  #open(databaseIds: readonly string[]): Run[] {
    return this.#db
      .select()
      .from(runs)
      .where(and(inArray(runs.state, ['running', 'cancelling']), inArray(runs.databaseId, [...databaseIds])))
      .all();
  }

  /**
   * Runs of the last week that ended by themselves and may have left something, since their store or server could not
   * be reached any more. Newest first.
   */
  uncleared(databaseIds: readonly string[]): Run[] {
    return this.#db
      .select()
      .from(runs)
      .where(
        and(
          inArray(runs.state, ['succeeded', 'failed', 'cancelled']),
          inArray(runs.databaseId, [...databaseIds]),
          gt(runs.startedAt, this.#now() - weekMs),
        ),
      )
      .orderBy(desc(runs.startedAt))
      .all()
      .filter(mayHaveLeft);
  }
}

function mayHaveLeft({ kind, state, detail }: Run): boolean {
  if (detail.clearedAt !== undefined) return false;
  if (kind === 'restore') return state !== 'succeeded' && detail.scratchDatabase !== undefined;
  if (kind === 'drill') return detail.scratchDatabase !== undefined;
  // A copy without an outcome was planned in a run that failed as a whole.
  return (detail.copies ?? []).some((copy) => !('state' in copy) || copy.mayHaveLeft === true);
}
