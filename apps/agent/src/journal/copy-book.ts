import type { ReportBodies } from '@strideiq/protocol';
import { and, eq, inArray, sql } from 'drizzle-orm';
import type { JournalDatabase } from './open-journal.ts';
import type { Outbox } from './outbox.ts';
import { backupKinds, findings, runs, type CopyOutcome, type PlannedCopy, type Run } from './schema.ts';
import type { SurveyBook } from './survey-book.ts';

/** One that was made from another copy. */
export interface MadeCopy {
  databaseId: string;
  backupId: string;
  storeId: string;
  /** Of the dump, below the store's prefix. */
  key: string;
  sizeBytes: number;
}

export interface CopyBookParts {
  db: JournalDatabase;
  now: () => number;
  outbox: Outbox;
  surveys: SurveyBook;
}

/** What became of the copies of this host's backups: stored, read back, made later, removed. Each is a report, too. */
export class CopyBook {
  readonly #db: JournalDatabase;
  readonly #now: () => number;
  readonly #outbox: Outbox;
  readonly #surveys: SurveyBook;

  constructor({ db, now, outbox, surveys }: CopyBookParts) {
    this.#db = db;
    this.#now = now;
    this.#outbox = outbox;
    this.#surveys = surveys;
  }

  /** What reading a copy back has shown. */
  found(copy: ReportBodies['copy']): void {
    const { storeId, key, state } = copy;
    this.#alone(() => {
      this.#db
        .insert(findings)
        .values({ storeId, key, state })
        .onConflictDoUpdate({ target: [findings.storeId, findings.key], set: { state } })
        .run();
      // What it is now was read: its date is that of this.
      if (state === 'verified') this.#surveys.forgetDate(storeId, key);
      this.#outbox.write('copy', copy);
    });
  }

  /** A copy that was made later, from another one: in its run's outcome it is stored now. */
  made(runId: string, { databaseId, backupId, storeId, key, sizeBytes }: MadeCopy): void {
    this.#alone(() => {
      const run = this.#db.select().from(runs).where(eq(runs.id, runId)).get();
      if (!run) return;
      const copies = (run.detail.copies ?? []).map((copy): PlannedCopy | CopyOutcome => {
        if (copy.storeId !== storeId) return copy;
        const { store, location, dumpKey } = copy;
        return { storeId, store, location, dumpKey, state: 'stored', sizeBytes, madeAt: this.#now() };
      });
      this.#surveys.forgetDate(storeId, key);
      this.#describe(run, copies);
      this.#db
        .delete(findings)
        .where(and(eq(findings.storeId, storeId), eq(findings.key, key)))
        .run();
      this.#outbox.write('copy', { databaseId, backupId, storeId, key, state: 'stored', sizeBytes, problems: [] });
    });
  }

  /** Whether copies of a database stand in a store, by all that is known. */
  hasStoredIn(databaseId: string, storeId: string): boolean {
    const stored = sql`EXISTS (SELECT 1 FROM json_each(${runs.detail}, '$.copies') WHERE json_extract(value, '$.storeId') = ${storeId} AND json_extract(value, '$.state') = 'stored' AND json_extract(value, '$.removedAt') IS NULL)`;
    const ofDatabase = and(
      eq(runs.databaseId, databaseId),
      inArray(runs.kind, [...backupKinds]),
      eq(runs.state, 'succeeded'),
    );
    return this.#db.select({ id: runs.id }).from(runs).where(and(ofDatabase, stored)).limit(1).get() !== undefined;
  }

  /** What reading back the copies of a store has shown the last time, by the keys of their dumps. */
  foundIn(storeId: string): Map<string, ReportBodies['copy']['state']> {
    const rows = this.#db.select().from(findings).where(eq(findings.storeId, storeId)).all();
    return new Map(rows.map(({ key, state }) => [key, state]));
  }

  /** A copy that retention removes. */
  deleted(deletion: ReportBodies['deletion']): void {
    const { storeId, key } = deletion;
    this.#alone(() => {
      this.#db
        .delete(findings)
        .where(and(eq(findings.storeId, storeId), eq(findings.key, key)))
        .run();
      this.#noteRemoved(deletion);
      this.#outbox.write('deletion', deletion);
    });
  }

  #noteRemoved({ databaseId, storeId, key }: ReportBodies['deletion']): void {
    const named = sql`json_extract(${runs.detail}, '$.sealed.objectName') = ${key}`;
    const ofBackup = and(inArray(runs.kind, [...backupKinds]), eq(runs.databaseId, databaseId), named);
    const run = this.#db.select().from(runs).where(ofBackup).get();
    if (!run) return;
    const copies = (run.detail.copies ?? []).map((copy): PlannedCopy | CopyOutcome =>
      copy.storeId === storeId && 'state' in copy ? { ...copy, removedAt: this.#now() } : copy,
    );
    this.#describe(run, copies);
  }

  /** What became of the copies of a backup that this host made or took in. */
  of(backupId: string): CopyOutcome[] {
    const run = this.#db
      .select({ detail: runs.detail })
      .from(runs)
      .where(and(inArray(runs.kind, [...backupKinds]), sql`json_extract(${runs.detail}, '$.backupId') = ${backupId}`))
      .get();
    return (run?.detail.copies ?? []).filter((copy) => 'state' in copy);
  }

  #describe({ id, detail }: Run, copies: (PlannedCopy | CopyOutcome)[]): void {
    this.#db
      .update(runs)
      .set({ detail: { ...detail, copies } })
      .where(eq(runs.id, id))
      .run();
  }

  /** Alone from the first look on: what was read would be old by the time it is written. */
  #alone<T>(work: () => T): T {
    return this.#db.transaction(work, { behavior: 'immediate' });
  }
}
