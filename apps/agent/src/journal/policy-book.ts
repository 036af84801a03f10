import type { PushedPolicy } from '@strideiq/protocol';
import type { JournalDatabase } from './open-journal.ts';
import { policies } from './schema.ts';

/** The policies that the control plane keeps for this host, as it said last: this host goes by them also while it is away. */
export class PolicyBook {
  readonly #db: JournalDatabase;

  constructor(db: JournalDatabase) {
    this.#db = db;
  }

  all(): PushedPolicy[] {
    return this.#db.select().from(policies).all();
  }

  /** Takes the place of all that was known: written down whole, or not at all. */
  replace(pushed: readonly PushedPolicy[]): void {
    this.#db.transaction(
      () => {
        this.#db.delete(policies).run();
        for (const each of pushed) this.#db.insert(policies).values(each).run();
      },
      { behavior: 'immediate' },
    );
  }
}
