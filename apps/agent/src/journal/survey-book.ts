import type { Drift } from '@strideiq/core';
import { eq } from 'drizzle-orm';
import type { JournalDatabase } from './open-journal.ts';
import type { Outbox } from './outbox.ts';
import { surveys } from './schema.ts';

export type Survey = typeof surveys.$inferSelect;

/** The same is told again after this long, so that everyone knows that somebody still looks. */
const toldForMs = 24 * 3_600_000;

/** What was found the last time when each store was compared with this journal. */
export class SurveyBook {
  readonly #db: JournalDatabase;
  readonly #outbox: Outbox;

  constructor(db: JournalDatabase, outbox: Outbox) {
    this.#db = db;
    this.#outbox = outbox;
  }

  of(storeId: string): Survey | undefined {
    return this.#db.select().from(surveys).where(eq(surveys.storeId, storeId)).get();
  }

  /** Written down with what is told of it, which is what was not told yet. */
  note(databaseId: string, { storeId, lookedAt, items, dates }: Omit<Survey, 'toldAt'>): void {
    this.#db.transaction(
      () => {
        const before = this.of(storeId);
        // That nothing differs from the beginning can wait.
        const isNews = !isSame(before?.items ?? [], items) || lookedAt - (before?.toldAt ?? lookedAt) >= toldForMs;
        const toldAt = isNews || !before ? lookedAt : before.toldAt;
        const known = { lookedAt, toldAt, items, dates };
        this.#db
          .insert(surveys)
          .values({ storeId, ...known })
          .onConflictDoUpdate({ target: surveys.storeId, set: known })
          .run();
        if (isNews) this.#outbox.write('drift', { databaseId, storeId, items });
      },
      { behavior: 'immediate' },
    );
  }

  /** A copy was made anew: the date that it gets is its first. */
  forgetDate(storeId: string, key: string): void {
    const before = this.of(storeId);
    if (before?.dates[key] === undefined) return;
    const { [key]: _, ...dates } = before.dates;
    this.#db.update(surveys).set({ dates }).where(eq(surveys.storeId, storeId)).run();
  }
}

function isSame(one: readonly Drift[], other: readonly Drift[]): boolean {
  const of = (items: readonly Drift[]) => JSON.stringify(items.map(({ kind, key }) => [kind, key]));
  return of(one) === of(other);
}
