import { CodedError, paragraphOf } from '@strideiq/core';
import { reportKinds, type Report, type ReportAnswers, type ReportBatch, type ReportKind } from '@strideiq/protocol';
import { and, eq } from 'drizzle-orm';
import { z } from 'zod';
import type { AgentIdentity } from '../agents/connection.ts';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { journals, reports } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import type { Log } from '../log.ts';
import { commit, type News, type NewsParts } from '../runs/news.ts';
import { applyCommand } from './apply-command.ts';
import { applyCopy } from './apply-copy.ts';
import { applyDeletion } from './apply-deletion.ts';
import { applyDrift } from './apply-drift.ts';
import { applyLog } from './apply-log.ts';
import { applyRun } from './apply-run.ts';
import { giveUpRun } from './give-up-run.ts';
import type { Reported } from './reported.ts';

export type Reporter = Pick<AgentIdentity, 'agentId' | 'environment'>;

type Answer = ReportAnswers['answers'][number];

/** Each checks its body, and that all it names is the agent's own, before it writes anything. */
const appliers: Record<ReportKind, (report: Reported, body: unknown) => void> = {
  run: (report, body) => applyRun(report, reportKinds.run.parse(body)),
  log: (report, body) => applyLog(report, reportKinds.log.parse(body)),
  copy: (report, body) => applyCopy(report, reportKinds.copy.parse(body)),
  deletion: (report, body) => applyDeletion(report, reportKinds.deletion.parse(body)),
  drift: (report, body) => applyDrift(report, reportKinds.drift.parse(body)),
  command: (report, body) => applyCommand(report, reportKinds.command.parse(body)),
};

/**
 * Records a batch in one transaction: what it answers is there to stay. A report that cannot be taken is set aside with
 * the reason, and leaves those behind it alone; one that was recorded already changes nothing.
 */
export function recordReports(
  parts: NewsParts & { now: () => number; log: Log },
  { agentId }: Reporter,
  { journalId, reports: batch }: ReportBatch,
): ReportAnswers {
  const recorded = commit(parts, (tx, news) => {
    const now = parts.now();
    const answers = batch.map((report) => recordOne(tx, news, { agentId, journalId, now }, report));
    return { answers, highWater: raiseMark(tx, agentId, journalId, Math.max(...batch.map(({ seq }) => seq))) };
  });
  for (const { answer, ...rest } of recorded.answers) {
    if (answer === 'rejected') parts.log.warn({ agentId, journalId, ...rest }, 'a report was rejected');
  }
  return recorded;
}

function recordOne(
  tx: CatalogTransaction,
  news: News,
  { agentId, journalId, now }: { agentId: string; journalId: string; now: number },
  { reportId, seq, kind, at, body }: Report,
): Answer {
  const known = tx
    .select({ answer: reports.answer, code: reports.code, reason: reports.reason })
    .from(reports)
    .where(and(eq(reports.agentId, agentId), eq(reports.reportId, reportId)))
    .get();
  // The first answer may have been lost on its way: its host is to hear of a rejection, and not to take it for taken.
  if (known?.answer === 'rejected') {
    return { reportId, answer: 'rejected', code: known.code ?? 'Rejected', text: known.reason ?? 'no reason was kept' };
  }
  if (known) return { reportId, answer: 'duplicate' };
  const row = { agentId, reportId, journalId, seq, kind, hostAt: Date.parse(at), receivedAt: now };
  const apply = isKnown(kind) ? appliers[kind] : undefined;
  const reported = { news, agentId, hostAt: row.hostAt, now };
  const refusal = apply && attempt(tx, (tx) => apply({ ...reported, tx }, body));
  if (refusal) {
    const { code, text } = refusal;
    if (kind === 'run') giveUpRun({ ...reported, tx }, body, refusal);
    tx.insert(reports)
      .values({ ...row, answer: 'rejected', code, reason: text, body })
      .run();
    return { reportId, answer: 'rejected', code, text };
  }
  // Kinds of a later version are kept as they are, for the day when this one is it.
  tx.insert(reports)
    .values({ ...row, answer: 'accepted', ...(apply ? {} : { body }) })
    .run();
  return { reportId, answer: 'accepted' };
}

function isKnown(kind: string): kind is ReportKind {
  return Object.hasOwn(reportKinds, kind);
}

/**
 * Applies a report in a savepoint of its own.
 * @returns why it cannot be taken, in which case it has changed nothing
 * @throws what is not the report's fault, such as a disk that is full: the batch comes again then
 */
function attempt(
  tx: CatalogTransaction,
  apply: (tx: CatalogTransaction) => void,
): { code: string; text: string } | undefined {
  try {
    tx.transaction(apply);
    return undefined;
  } catch (error) {
    if (error instanceof CodedError) return { code: String(error.code), text: paragraphOf(error) };
    if (!(error instanceof z.ZodError)) throw error;
    const invalid = new ControlPlaneError(
      'ReportInvalid',
      `The report is none of its kind: ${z.prettifyError(error).slice(0, 4000)}.`,
      'Its host’s agent and this control plane are of versions that do not fit.',
    );
    return { code: invalid.code, text: invalid.paragraph };
  }
}

/** The newest report of a journal that was seen, taken or not: what is below it is not sent again. */
function raiseMark(tx: CatalogTransaction, agentId: string, journalId: string, seen: number): number {
  const ofJournal = and(eq(journals.agentId, agentId), eq(journals.journalId, journalId));
  const highWater = Math.max(tx.select().from(journals).where(ofJournal).get()?.highWater ?? 0, seen);
  tx.insert(journals)
    .values({ agentId, journalId, highWater })
    .onConflictDoUpdate({ target: [journals.agentId, journals.journalId], set: { highWater } })
    .run();
  return highWater;
}
