import { newId } from '@strideiq/core';
import {
  keepReportsMs,
  mostBatchBytes,
  mostBatchReports,
  type LogReport,
  type Report,
  type ReportAnswers,
  type ReportBodies,
  type ReportKind,
} from '@strideiq/protocol';
import { and, asc, count, desc, eq, gt, isNull, lt, lte, max, sql } from 'drizzle-orm';
import { fitted } from './fit-report.ts';
import type { JournalDatabase } from './open-journal.ts';
import { journal, reports, type LinkState } from './schema.ts';

/**
 * Bytes of run logs that wait for a control plane which is away: some months of a busy host. Everything else that waits is a
 * transition, is small, and is kept for as long as it takes.
 */
const mostWaitingLogBytes = 64 * 1024 * 1024;

/** A log as small as that is not worth shortening: it would tell less in as many bytes. */
const smallLogBytes = 600;

/** Bytes of a report beside its body, and of a batch beside its reports: more than they are. */
const envelopeBytes = 300;

export type StoredReport = typeof reports.$inferSelect;
export type ReportAnswer = ReportAnswers['answers'][number];

/** The journal that reports come from, and its newest one. */
export interface JournalPosition {
  journalId: string;
  lastSeq: number;
}

/**
 * The reports of this host, in the order in which they are to be delivered. Also filled by commands of other processes;
 * only the daemon delivers.
 */
export class Outbox {
  readonly #db: JournalDatabase;
  readonly #now: () => number;
  readonly #secrets: ReadonlySet<string>;

  constructor(db: JournalDatabase, now: () => number, secrets: ReadonlySet<string>) {
    this.#db = db;
    this.#now = now;
    this.#secrets = secrets;
  }

  /** Writes a report; within a transaction of the journal it stands or falls with what it tells of. */
  write<Kind extends ReportKind>(kind: Kind, body: ReportBodies[Kind], at = this.#now()): void {
    this.#alone(() => {
      const seq = this.position().lastSeq + 1;
      this.#db.update(journal).set({ lastSeq: seq }).run();
      this.#db
        .insert(reports)
        .values({ reportId: newId(at), seq, kind, at, body: fitted(body, this.#secrets) })
        .run();
    });
  }

  /** The lines of a run's log, as far as they are kept: each with its moment and level. */
  logOf(runId: string): string[] {
    const ofRun = and(eq(reports.kind, 'log'), sql`json_extract(${reports.body}, '$.runId') = ${runId}`);
    const rows = this.#db.select({ body: reports.body }).from(reports).where(ofRun).orderBy(asc(reports.seq)).all();
    return rows.flatMap(({ body }) =>
      (body as unknown as LogReport).lines.map(({ at, level, text }) => `${at} ${level.padEnd(5)} ${text}`),
    );
  }

  position(): JournalPosition {
    const { journalId, lastSeq } = this.#row();
    return { journalId, lastSeq };
  }

  /**
   * The reports that follow `after`, as many as one batch takes; also those that were answered before, since a catalog
   * that was put back from an older copy wants them again.
   */
  batchAfter(after: number, mostReports = mostBatchReports): Report[] {
    const sizes = this.#db
      .select({ seq: reports.seq, bytes: sql<number>`length(CAST(${reports.body} AS BLOB))` })
      .from(reports)
      .where(gt(reports.seq, after))
      .orderBy(asc(reports.seq))
      .limit(mostReports)
      .all();
    let bytes = envelopeBytes;
    let end = after;
    for (const report of sizes) {
      bytes += report.bytes + envelopeBytes;
      // One alone always goes: each is small enough by itself.
      if (bytes > mostBatchBytes && end > after) break;
      end = report.seq;
    }
    return this.#db
      .select()
      .from(reports)
      .where(and(gt(reports.seq, after), lte(reports.seq, end)))
      .orderBy(asc(reports.seq))
      .all()
      .map(({ reportId, seq, kind, at, body }) => ({ reportId, seq, kind, at: new Date(at).toISOString(), body }));
  }

  /** To be said before anything up to there leaves this host: see `reconcile`. */
  sending(seq: number): void {
    this.#db.update(journal).set({ sentSeq: seq }).where(lt(journal.sentSeq, seq)).run();
  }

  answered(answers: readonly ReportAnswer[]): void {
    this.#alone(() => {
      for (const { reportId, answer, code, text } of answers) {
        this.#db
          .update(reports)
          .set({ answer, answeredAt: this.#now(), code: code ?? null, reason: text ?? null })
          .where(eq(reports.reportId, reportId))
          .run();
      }
    });
  }

  /**
   * Takes note of how far the control plane has recorded this journal: what was not answered up to there has arrived.
   * @returns false where it knows of more than ever left this host. Then this state directory was set back and numbers
   *   have been given twice: a new journal has begun, and all reports that are kept are its own
   */
  reconcile(highWater: number): boolean {
    return this.#alone(() => {
      if (highWater > this.#row().sentSeq) {
        this.#beginAnew();
        return false;
      }
      this.#db
        .update(reports)
        .set({ answer: 'duplicate', answeredAt: this.#now() })
        .where(and(isNull(reports.answeredAt), lte(reports.seq, highWater)))
        .run();
      return true;
    });
  }

  #beginAnew(): void {
    // Below zero on the way, since no two may have the same number, not even for a moment.
    this.#db.run(sql`UPDATE reports SET seq = -seq`);
    this.#db.run(
      sql`UPDATE reports SET seq = place FROM
            (SELECT report_id AS id, row_number() OVER (ORDER BY seq DESC) AS place FROM reports) WHERE id = report_id`,
    );
    const { lastSeq } =
      this.#db
        .select({ lastSeq: max(reports.seq) })
        .from(reports)
        .get() ?? {};
    this.#db
      .update(journal)
      .set({ journalId: newId(this.#now()), lastSeq: lastSeq ?? 0, sentSeq: 0 })
      .run();
  }

  /** How many wait to be delivered, and what was set aside, newest first. */
  outstanding(): { waiting: number; rejected: StoredReport[] } {
    const waiting = this.#db.select({ n: count() }).from(reports).where(isNull(reports.answeredAt)).get()?.n ?? 0;
    const rejected = this.#db
      .select()
      .from(reports)
      .where(eq(reports.answer, 'rejected'))
      .orderBy(desc(reports.seq))
      .limit(100)
      .all();
    return { waiting, rejected };
  }

  /**
   * Lets go of reports that nobody will ask for again. What waits for a control plane that is away is kept, however old;
   * where its logs become too many the oldest are shortened, and say so themselves.
   * @param enrolled whether there is a control plane that may still come for those that it has not yet
   * @returns how many logs were shortened
   */
  prune(enrolled: boolean): number {
    return this.#alone(() => {
      const oldest = this.#now() - keepReportsMs;
      this.#db.delete(reports).where(lt(reports.answeredAt, oldest)).run();
      if (enrolled) return this.#shortenLogs();
      this.#db
        .delete(reports)
        .where(and(isNull(reports.answeredAt), lt(reports.at, oldest)))
        .run();
      return 0;
    });
  }

  /** Their places are kept, so that nobody takes what is gone for lost. */
  #shortenLogs(): number {
    const bytes = sql<number>`length(CAST(${reports.body} AS BLOB))`;
    const logs = this.#db
      .select({ seq: reports.seq, bytes })
      .from(reports)
      .where(and(isNull(reports.answeredAt), eq(reports.kind, 'log'), gt(bytes, smallLogBytes)))
      .orderBy(desc(reports.seq))
      .all();
    let left = mostWaitingLogBytes;
    const tooMany = logs.filter((log) => (left -= log.bytes) < 0);
    for (const { seq } of tooMany) {
      const log = this.#db.select().from(reports).where(eq(reports.seq, seq)).get();
      if (!log) continue;
      const { runId, lines } = log.body as LogReport;
      const body = {
        runId,
        lines: [{ at: new Date(log.at).toISOString(), level: 'warn', text: shortened(lines.length) }],
      };
      this.#db.update(reports).set({ body }).where(eq(reports.seq, seq)).run();
    }
    return tooMany.length;
  }

  get link(): LinkState | undefined {
    return this.#row().link ?? undefined;
  }

  /** Written down for the doctor, which is another process. */
  noteLink(link: LinkState): void {
    this.position();
    this.#db.update(journal).set({ link }).run();
  }

  #row(): typeof journal.$inferSelect {
    const row = this.#db.select().from(journal).get();
    if (row) return row;
    const first = { row: 1, journalId: newId(this.#now()), lastSeq: 0, sentSeq: 0, link: null };
    // Of two first starts at once both end with the same.
    this.#db.insert(journal).values(first).onConflictDoNothing().run();
    return this.#db.select().from(journal).get() ?? first;
  }

  /** Alone from the first look on: what was read would be old by the time it is written. */
  #alone<T>(work: () => T): T {
    return this.#db.transaction(work, { behavior: 'immediate' });
  }
}

function shortened(lines: number): string {
  return `${lines === 1 ? 'A line' : `${lines} lines`} of this log stood here. The control plane was away for so long that this host kept no more of it.`;
}
