import { and, eq } from 'drizzle-orm';
import type { JournalDatabase } from './open-journal.ts';
import { foundDatabases } from './schema.ts';

export type FoundDatabase = typeof foundDatabases.$inferSelect;

/** What a look at a server has changed. */
export interface FoundChanges {
  /** Names of what was not known before, or is there again. */
  appeared: string[];
  gone: string[];
}

/** The databases that were found on servers, so that they are known while their server is out of reach. */
export class FoundBook {
  readonly #db: JournalDatabase;

  constructor(db: JournalDatabase) {
    this.#db = db;
  }

  all(): FoundDatabase[] {
    return this.#db.select().from(foundDatabases).orderBy(foundDatabases.entry, foundDatabases.name).all();
  }

  /**
   * What a server holds now.
   * @param entry name of its entry in the host's file
   * @param isLeftOut whether one that is not among them is to be forgotten: it is meant to be left out
   */
  found(entry: string, names: readonly string[], isLeftOut: (name: string) => boolean, now: number): FoundChanges {
    return this.#db.transaction(
      () => {
        const known = this.#db.select().from(foundDatabases).where(eq(foundDatabases.entry, entry)).all();
        const there = new Set(known.flatMap(({ name, goneAt }) => (goneAt === null ? [name] : [])));
        const appeared = names.filter((name) => !there.has(name));
        for (const name of appeared) {
          const row = { entry, name, foundAt: now, goneAt: null };
          const target = [foundDatabases.entry, foundDatabases.name];
          this.#db
            .insert(foundDatabases)
            .values(row)
            .onConflictDoUpdate({ target, set: { goneAt: null } })
            .run();
        }
        const gone: string[] = [];
        for (const { name, goneAt } of known.filter((each) => !names.includes(each.name))) {
          const one = and(eq(foundDatabases.entry, entry), eq(foundDatabases.name, name));
          if (isLeftOut(name)) this.#db.delete(foundDatabases).where(one).run();
          else if (goneAt === null) {
            this.#db.update(foundDatabases).set({ goneAt: now }).where(one).run();
            gone.push(name);
          }
        }
        return { appeared, gone };
      },
      { behavior: 'immediate' },
    );
  }
}
