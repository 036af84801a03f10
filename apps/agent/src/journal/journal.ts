import { codeOf, paragraphOf, runStates, type BackupShape, type RunState } from '@strideiq/core';
import type { LogReport } from '@strideiq/protocol';
import { and, desc, eq, inArray, sql } from 'drizzle-orm';
import { AgentError } from '../errors.ts';
import { CommandBook } from './command-book.ts';
import { CopyBook } from './copy-book.ts';
import { FoundBook } from './found-book.ts';
import { LeftRuns } from './left-runs.ts';
import { OldRuns } from './old-runs.ts';
import type { JournalDatabase } from './open-journal.ts';
import { Outbox } from './outbox.ts';
import { PolicyBook } from './policy-book.ts';
import { thisProcess } from './process-identity.ts';
import { closingLines, runReportOf } from './run-report.ts';
import { ScheduleBook } from './schedule-book.ts';
import { ShapeBook } from './shape-book.ts';
import { SurveyBook } from './survey-book.ts';
import { backupKinds, runs, seals, type Run, type RunDetail, type SealedBackup } from './schema.ts';

export type { Run } from './schema.ts';

/** Most runs that are told as open: a host that has more has other troubles. */
const mostOpen = 1000;

export type Seal = typeof seals.$inferSelect;

export type NewRun = Pick<Run, 'id' | 'kind' | 'environment' | 'database' | 'databaseId'> & { detail: RunDetail };

/** A run whose id was made before it: by the control plane with a command, or by this host with a schedule. */
export interface Asked {
  runId: string;
  commandId?: string | undefined;
  /** The moment of the schedule that it is for, milliseconds since 1970. */
  dueAt?: number | undefined;
}

/** What a run's detail says of who asked for it. */
export function askedBy({ commandId, dueAt }: Partial<Asked> = {}): Pick<RunDetail, 'commandId' | 'dueAt'> {
  return { ...(commandId === undefined ? {} : { commandId }), ...(dueAt === undefined ? {} : { dueAt }) };
}

/**
 * What happened on this host: every run and its outcome, also of runs whose process was killed. Each step of a run is
 * also a report, written with it or not at all, whether or not there is a control plane to hear it yet.
 */
export class Journal {
  readonly #db: JournalDatabase;
  readonly #now: () => number;
  #whenRun: (run: Run) => void = () => undefined;
  readonly outbox: Outbox;
  readonly commands: CommandBook;
  readonly copies: CopyBook;
  readonly left: LeftRuns;
  readonly old: OldRuns;
  readonly schedules: ScheduleBook;
  readonly policies: PolicyBook;
  readonly surveys: SurveyBook;
  readonly foundDatabases: FoundBook;
  readonly shapes: ShapeBook;

  /** @param secrets what no report may hold; may grow */
  constructor(db: JournalDatabase, now: () => number, secrets: ReadonlySet<string> = new Set()) {
    this.#db = db;
    this.#now = now;
    this.outbox = new Outbox(db, now, secrets);
    this.commands = new CommandBook(db, this.outbox, now);
    this.left = new LeftRuns(db, now);
    this.old = new OldRuns(db, now);
    this.schedules = new ScheduleBook(db);
    this.policies = new PolicyBook(db);
    this.surveys = new SurveyBook(db, this.outbox);
    this.copies = new CopyBook({ db, now, outbox: this.outbox, surveys: this.surveys });
    this.foundDatabases = new FoundBook(db);
    this.shapes = new ShapeBook(db);
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
      if (code === 'Interrupted') this.cancelling(run.id);
      this.finish(run.id, code === 'Interrupted' ? 'cancelled' : 'failed', detail, { code, text: paragraphOf(error) });
      throw error;
    }
    // Where this cannot be written down, the work is done all the same: the run stays open, and the next start tells.
    this.finish(run.id, 'succeeded', outcome.detail);
    return outcome.result;
  }

  /** @throws AgentError `RunExists`: whatever has become of it, it is not done twice */
  begin(run: NewRun): void {
    this.#alone(() => {
      const known = this.get(run.id);
      if (known) {
        throw new AgentError(
          'RunExists',
          `Run ${run.id} is in this host's journal already, as ${known.state}; it is not done twice.`,
          'Ask for a new run.',
        );
      }
      const state = runStates.move(runStates.initial, 'running');
      this.#db
        .insert(runs)
        .values({ ...run, state, startedAt: this.#now(), owner: thisProcess() })
        .run();
      this.#report(run.id);
    });
    this.#tell(run.id);
  }

  /**
   * Has `listener` called with each run that begins or ends by this process, once that is written down.
   * @param listener must not throw: the run goes on, or is over, whatever becomes of the news of it
   */
  whenRun(listener: (run: Run) => void): void {
    this.#whenRun = listener;
  }

  #tell(runId: string): void {
    const run = this.get(runId);
    if (run) this.#whenRun(run);
  }

  /** Adds to what is known of a run. */
  describe(runId: string, more: RunDetail): void {
    this.#alone(() => {
      const run = this.get(runId);
      if (!run) return;
      this.#db
        .update(runs)
        .set({ detail: { ...run.detail, ...more } })
        .where(eq(runs.id, runId))
        .run();
    });
  }

  /**
   * Keeps what is needed to finish, and to tell of, a backup whose process dies between its last byte and its manifest.
   * @param shape what the next backup is compared with; left out: with an earlier one
   */
  seal(seal: Seal, sealed: SealedBackup, shape?: { databaseId: string; shape: BackupShape }): void {
    this.#alone(() => {
      this.#db.insert(seals).values(seal).run();
      this.describe(seal.runId, { sealed });
      if (shape) this.shapes.keep(seal.runId, shape.databaseId, shape.shape);
    });
  }

  /** How a run ended. The privileges are let go of; the manifest's hash stays, as proof that it is ours. */
  finish(runId: string, to: RunState, more: RunDetail = {}, failure?: { code: string; text: string }): void {
    this.#alone(() => {
      const run = this.get(runId);
      if (!run) throw new Error(`run ${runId} is not in the journal`);
      this.#db
        .update(runs)
        .set({
          state: runStates.move(run.state as RunState, to),
          finishedAt: this.#now(),
          detail: { ...run.detail, ...more },
          errorCode: failure?.code ?? null,
          error: failure?.text ?? null,
        })
        .where(eq(runs.id, runId))
        .run();
      this.#db.update(seals).set({ manifest: '', privileges: null, globals: null }).where(eq(seals.runId, runId)).run();
      this.shapes.ended(run, to === 'succeeded');
      this.#report(runId);
    });
    this.#tell(runId);
  }

  /** It was asked to end; it may still succeed, where all was done but to say so. */
  cancelling(runId: string): void {
    this.#alone(() => {
      const run = this.get(runId);
      if (run?.state !== 'running') return;
      const state = runStates.move(run.state, 'cancelling');
      this.#db.update(runs).set({ state }).where(eq(runs.id, runId)).run();
      this.#report(runId);
    });
  }

  /** A run that could not even begin. */
  notBegun(run: NewRun, failure: { code: string; text: string }): void {
    this.#alone(() => {
      this.begin(run);
      this.finish(run.id, 'failed', {}, failure);
    });
  }

  /** A run that was called off before it began. */
  callOff(run: NewRun, failure: { code: string; text: string }): void {
    this.#alone(() => {
      this.begin(run);
      this.cancelling(run.id);
      this.finish(run.id, 'cancelled', {}, failure);
    });
  }

  /** Reports a run as it stands now; at its end also what people read of it. */
  #report(runId: string): void {
    const run = this.get(runId);
    if (!run) return;
    const lines = run.finishedAt === null ? [] : closingLines(run, run.finishedAt);
    if (lines.length > 0) this.outbox.write('log', { runId, lines });
    this.outbox.write('run', runReportOf(run));
  }

  /** A line that people read of a run. */
  log(runId: string, level: LogReport['lines'][number]['level'], text: string): void {
    this.outbox.write('log', { runId, lines: [{ at: new Date(this.#now()).toISOString(), level, text }] });
  }

  /** What people read of a run, line by line. */
  logOf(runId: string): string[] {
    return this.outbox.logOf(runId);
  }

  /** Backups of a database that this host has made or taken in, newest first. */
  madeOf(databaseId: string, most: number): Run[] {
    const sealed = sql`json_extract(${runs.detail}, '$.sealed') IS NOT NULL`;
    return this.#db
      .select()
      .from(runs)
      .where(
        and(eq(runs.databaseId, databaseId), inArray(runs.kind, [...backupKinds]), eq(runs.state, 'succeeded'), sealed),
      )
      .orderBy(desc(runs.startedAt), desc(runs.id))
      .limit(most)
      .all();
  }

  /**
   * What this host has not brought to its end and will, for the moment in which all up to `seq` is delivered.
   * @param databaseIds those of its file
   * @returns undefined where there is more to deliver by now
   */
  openAt(seq: number, databaseIds: readonly string[]): { openRunIds: string[]; openCommandIds: string[] } | undefined {
    return this.#db.transaction(() => {
      if (this.outbox.position().lastSeq > seq) return undefined;
      const openRunIds = this.left.open(databaseIds, mostOpen);
      // One whose run is given up has nobody who ends it either.
      const held = this.commands
        .open()
        .filter(({ runId }) => runId === null || openRunIds.includes(runId) || this.get(runId) === undefined);
      return { openRunIds, openCommandIds: held.slice(0, mostOpen).map(({ id }) => id) };
    });
  }

  /** See `Outbox.reconcile`. What a directory that was set back holds for not begun may have been done since. */
  reconcile(highWater: number): boolean {
    return this.#alone(() => {
      const goesOn = this.outbox.reconcile(highWater);
      if (!goesOn) this.commands.refuseUnbegun((runId) => this.get(runId) !== undefined);
      return goesOn;
    });
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

  /** Whether this host made a backup under that name, or took one in, whose manifest must then be there. */
  madeBackup(dumpKey: string): boolean {
    const named = sql`EXISTS (SELECT 1 FROM json_each(${runs.detail}, '$.copies') WHERE json_extract(value, '$.dumpKey') = ${dumpKey})`;
    const made = this.#db
      .select({ id: runs.id })
      .from(runs)
      .where(and(inArray(runs.kind, [...backupKinds]), eq(runs.state, 'succeeded'), named))
      .get();
    return made !== undefined;
  }

  /** The backup that this host knows under that name. */
  backupIdOf(databaseId: string, dumpKey: string): string | undefined {
    const named = sql`EXISTS (SELECT 1 FROM json_each(${runs.detail}, '$.copies') WHERE json_extract(value, '$.dumpKey') = ${dumpKey})`;
    const made = this.#db
      .select({ detail: runs.detail })
      .from(runs)
      .where(and(inArray(runs.kind, [...backupKinds]), eq(runs.databaseId, databaseId), named))
      .get();
    return made?.detail.backupId;
  }

  /** What this host has put, or taken in, under the names of a database's dumps, as far as it still knows. */
  sealedOf(databaseId: string): Map<string, SealedBackup> {
    const rows = this.#db
      .select({ sealed: sql<string | null>`json_extract(${runs.detail}, '$.sealed')` })
      .from(runs)
      .where(and(inArray(runs.kind, [...backupKinds]), eq(runs.databaseId, databaseId)))
      .all();
    const known = rows.flatMap(({ sealed }) => (sealed === null ? [] : [JSON.parse(sealed) as SealedBackup]));
    return new Map(known.map((sealed) => [sealed.objectName, sealed]));
  }

  /**
   * Lets go of what nothing needs any more, but of no backup's run: see `OldRuns`.
   * @param enrolled see `Outbox.prune`
   * @returns how many logs that wait for a control plane were shortened
   */
  prune(enrolled: boolean): { shortened: number } {
    return this.#alone(() => {
      const shortened = this.outbox.prune(enrolled);
      this.commands.prune();
      this.old.prune();
      return { shortened };
    });
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

  /** Alone from the first look on: what was read would be old by the time it is written. */
  #alone<T>(work: () => T): T {
    return this.#db.transaction(work, { behavior: 'immediate' });
  }

  close(): void {
    this.#db.$client.close();
  }
}
