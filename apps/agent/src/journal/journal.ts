import { codeOf, paragraphOf, runStates, type RunState } from '@strideiq/core';
import { and, desc, eq, gt, inArray, sql } from 'drizzle-orm';
import type { JournalDatabase } from './open-journal.ts';
import { isAlive, thisProcess } from './process-identity.ts';
import { runs, seals, type RunDetail } from './schema.ts';

const weekMs = 7 * 24 * 3_600_000;

export type Run = typeof runs.$inferSelect;
export type Seal = typeof seals.$inferSelect;

export type NewRun = Pick<Run, 'id' | 'kind' | 'environment' | 'database' | 'databaseId'> & { detail: RunDetail };

/** What happened on this host: every run and its outcome, also of runs whose process was killed. */
export class Journal {
  readonly #db: JournalDatabase;
  readonly #now: () => number;

  constructor(db: JournalDatabase, now: () => number) {
    this.#db = db;
    this.#now = now;
  }

  /**
   * Does work as a run: written down before it begins, and its outcome when it ends, whichever way.
   * @param work answers with what the journal is to know of its success
   * @param onFailure clears what the work left, and answers with what the journal is to know of the failure
   */
  async record<T>(
    run: NewRun,
    work: () => Promise<{ result: T; detail: RunDetail }>,
    onFailure: (error: unknown) => Promise<RunDetail> | RunDetail = () => ({}),
  ): Promise<T> {
    this.begin(run);
    let outcome: { result: T; detail: RunDetail };
    try {
      outcome = await work();
    } catch (error) {
      const detail = await onFailure(error);
      const code = codeOf(error);
      if (code === 'Interrupted') this.#cancelling(run.id);
      this.finish(run.id, code === 'Interrupted' ? 'cancelled' : 'failed', detail, { code, text: paragraphOf(error) });
      throw error;
    }
    // Where this cannot be written down, the work is done all the same: the run stays open, and the next start tells.
    this.finish(run.id, 'succeeded', outcome.detail);
    return outcome.result;
  }

  begin(run: NewRun): void {
    const state = runStates.move(runStates.initial, 'running');
    this.#db
      .insert(runs)
      .values({ ...run, state, startedAt: this.#now(), owner: thisProcess() })
      .run();
  }

  /** Adds to what is known of a run. */
  describe(runId: string, more: RunDetail): void {
    this.#db.transaction((tx) => {
      const run = tx.select().from(runs).where(eq(runs.id, runId)).get();
      if (run) {
        tx.update(runs)
          .set({ detail: { ...run.detail, ...more } })
          .where(eq(runs.id, runId))
          .run();
      }
    });
  }

  /** Keeps what is needed to finish a backup whose process dies between its last byte and its manifest. */
  seal(seal: Seal): void {
    this.#db.insert(seals).values(seal).run();
  }

  /** How a run ended. The privileges are let go of; the manifest's hash stays, as proof that it is ours. */
  finish(runId: string, to: RunState, more: RunDetail = {}, failure?: { code: string; text: string }): void {
    this.#db.transaction((tx) => {
      const run = tx.select().from(runs).where(eq(runs.id, runId)).get();
      if (!run) throw new Error(`run ${runId} is not in the journal`);
      tx.update(runs)
        .set({
          state: runStates.move(run.state as RunState, to),
          finishedAt: this.#now(),
          detail: { ...run.detail, ...more },
          errorCode: failure?.code ?? null,
          error: failure?.text ?? null,
        })
        .where(eq(runs.id, runId))
        .run();
      tx.update(seals).set({ manifest: '', privileges: null }).where(eq(seals.runId, runId)).run();
    });
  }

  #cancelling(runId: string): void {
    const state = runStates.move('running', 'cancelling');
    this.#db.update(runs).set({ state }).where(eq(runs.id, runId)).run();
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

  /** Runs that say they are under way although their process is gone. */
  abandoned(databaseIds: readonly string[]): Run[] {
    return this.#db
      .select()
      .from(runs)
      .where(and(inArray(runs.state, ['running', 'cancelling']), inArray(runs.databaseId, [...databaseIds])))
      .all()
      .filter((run) => !isAlive(run.owner, this.#now() - run.startedAt));
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

  /** Nothing is left any more of a run that ended before. */
  describeCleared(runId: string): void {
    this.describe(runId, { clearedAt: this.#now() });
  }

  sealOf(runId: string): Seal | undefined {
    return this.#db.select().from(seals).where(eq(seals.runId, runId)).get();
  }

  /** Whether a manifest with this hash was written by this host for that backup. */
  knowsManifest(backupId: string, manifestSha256: string): boolean {
    const known = this.#db
      .select({ runId: seals.runId })
      .from(seals)
      .where(and(eq(seals.backupId, backupId), eq(seals.manifestSha256, manifestSha256)))
      .get();
    return known !== undefined;
  }

  /** Whether this host has written a manifest for that backup. */
  wroteManifestOf(backupId: string): boolean {
    return this.#db.select({ runId: seals.runId }).from(seals).where(eq(seals.backupId, backupId)).get() !== undefined;
  }

  /** Whether this host made a backup under that name, whose manifest must then be there. */
  madeBackup(dumpKey: string): boolean {
    const named = sql`EXISTS (SELECT 1 FROM json_each(${runs.detail}, '$.copies') WHERE json_extract(value, '$.dumpKey') = ${dumpKey})`;
    const made = this.#db
      .select({ id: runs.id })
      .from(runs)
      .where(and(eq(runs.kind, 'backup'), eq(runs.state, 'succeeded'), named))
      .get();
    return made !== undefined;
  }

  get(runId: string): Run | undefined {
    return this.#db.select().from(runs).where(eq(runs.id, runId)).get();
  }

  /** Newest first. */
  recent(databaseId: string, kind: Run['kind'], most = 20): Run[] {
    return this.#db
      .select()
      .from(runs)
      .where(and(eq(runs.databaseId, databaseId), eq(runs.kind, kind)))
      .orderBy(desc(runs.startedAt), desc(runs.id))
      .limit(most)
      .all();
  }

  close(): void {
    this.#db.$client.close();
  }
}

function mayHaveLeft({ kind, state, detail }: Run): boolean {
  if (detail.clearedAt !== undefined) return false;
  if (kind === 'restore') return state !== 'succeeded' && detail.scratchDatabase !== undefined;
  // A copy without an outcome was planned in a run that failed as a whole.
  return (detail.copies ?? []).some((copy) => !('state' in copy) || copy.mayHaveLeft === true);
}
