import type { Followed } from '@strideiq/core';
import { and, eq, notInArray } from 'drizzle-orm';
import type { JournalDatabase } from './open-journal.ts';
import { dueRuns, schedules } from './schema.ts';

export type DueRun = typeof dueRuns.$inferSelect;

/** How far each schedule was seen to, and the runs that are due by it. */
export class ScheduleBook {
  readonly #db: JournalDatabase;

  constructor(db: JournalDatabase) {
    this.#db = db;
  }

  /** Undefined where it was never followed. */
  followed(id: string): Followed | undefined {
    return this.#db.select().from(schedules).where(eq(schedules.id, id)).get();
  }

  /** @param run what is to be done for the newest of its moments: written down with it, or neither is */
  follow(id: string, { seenAt, moments }: Followed, run?: DueRun): void {
    this.#db.transaction(
      () => {
        const known = { seenAt, moments: [...moments] };
        this.#db
          .insert(schedules)
          .values({ id, ...known })
          .onConflictDoUpdate({ target: schedules.id, set: known })
          .run();
        if (run) this.plan(run);
      },
      { behavior: 'immediate' },
    );
  }

  /** Forgets all others: followed again some day they begin anew. */
  forgetOthers(ids: readonly string[]): void {
    this.#db
      .delete(schedules)
      .where(notInArray(schedules.id, [...ids]))
      .run();
  }

  /** In the order in which they came due. */
  due(): DueRun[] {
    return this.#db.select().from(dueRuns).orderBy(dueRuns.dueAt).all();
  }

  /** What was planned of that kind and database before is not made any more. */
  plan(run: DueRun): void {
    const target = [dueRuns.databaseId, dueRuns.kind];
    this.#db.insert(dueRuns).values(run).onConflictDoUpdate({ target, set: run }).run();
  }

  /** It was made, or will never be. */
  done({ databaseId, kind }: Pick<DueRun, 'databaseId' | 'kind'>): void {
    this.#db
      .delete(dueRuns)
      .where(and(eq(dueRuns.databaseId, databaseId), eq(dueRuns.kind, kind)))
      .run();
  }
}
