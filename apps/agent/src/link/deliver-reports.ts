import { codeOf, paragraphOf } from '@strideiq/core';
import { mostBatchReports, type Report, type ReportAnswers } from '@strideiq/protocol';
import { setTimeout as delay } from 'node:timers/promises';
import type { Events } from '../daemon/events.ts';
import { AgentError } from '../errors.ts';
import type { Outbox, ReportAnswer } from '../journal/outbox.ts';

/** How soon a report is noticed that another process of this host has written. */
const lookEveryMs = 500;

export interface Delivery {
  outbox: Outbox;
  events: Events;
  /** Sends one batch; in turn with whatever else has to be. */
  send: (batch: { journalId: string; reports: Report[] }) => Promise<ReportAnswers>;
  /**
   * Called when all up to `seq` is delivered, until it says that this was the last word of the kind on this connection.
   * @returns false where there is more by now
   */
  settle: (seq: number) => Promise<boolean>;
  signal: AbortSignal;
}

/** Delivers the reports of one journal over one connection, in order, one batch at a time, from a mark on. */
export class ReportDelivery {
  readonly #delivery: Delivery;
  readonly #journalId: string;
  /** The place up to which the control plane has all. */
  #delivered: number;
  #settled = false;
  #mostReports = mostBatchReports;

  constructor(delivery: Delivery, journalId: string, highWater: number) {
    this.#delivery = delivery;
    this.#journalId = journalId;
    this.#delivered = highWater;
  }

  /** Whether nothing waits any more. */
  get isDrained(): boolean {
    return this.#settled && this.#delivery.outbox.position().lastSeq <= this.#delivered;
  }

  /**
   * Ends only by an error, or by the signal.
   * @throws what `send` and `settle` throw
   */
  async run(): Promise<never> {
    const { outbox, settle, signal } = this.#delivery;
    for (;;) {
      signal.throwIfAborted();
      const reports = outbox.batchAfter(this.#delivered, this.#mostReports);
      if (reports.length > 0) await this.#deliver(reports);
      else if (!this.#settled) this.#settled = await settle(this.#delivered);
      else await this.#more();
    }
  }

  async #deliver(reports: Report[]): Promise<void> {
    const { outbox, send } = this.#delivery;
    const last = reports.at(-1)?.seq ?? this.#delivered;
    outbox.sending(last);
    let answers: ReportAnswer[];
    try {
      answers = (await send({ journalId: this.#journalId, reports })).answers;
    } catch (error) {
      if (codeOf(error) !== 'MessageInvalid') throw error;
      // One of them is none that can be read there; which one shows when they are sent by themselves.
      if (reports.length > 1) {
        this.#mostReports = 1;
        return;
      }
      answers = reports.map(({ reportId }) => rejected(reportId, error));
    }
    const byId = new Map(answers.map((answer) => [answer.reportId, answer]));
    outbox.answered(reports.map(({ reportId }) => byId.get(reportId) ?? unanswered(reportId)));
    for (const report of reports) this.#tellRejected(report, byId.get(report.reportId));
    this.#delivered = last;
    this.#mostReports = Math.min(this.#mostReports * 2, mostBatchReports);
  }

  #tellRejected({ seq, kind, body }: Report, answer: ReportAnswer | undefined): void {
    if (answer?.answer !== 'rejected') return;
    const { runId } = body;
    this.#delivery.events.warn(
      `the control plane does not take report ${seq} (${kind}): ${answer.code ?? 'Rejected'}: ${answer.text ?? 'no reason given'}`,
      typeof runId === 'string' ? { runId } : {},
    );
  }

  /** Until there is something to deliver. */
  async #more(): Promise<void> {
    const { outbox, signal } = this.#delivery;
    while (outbox.position().lastSeq <= this.#delivered) {
      await delay(lookEveryMs, undefined, { signal }).catch(() => undefined);
      signal.throwIfAborted();
    }
  }
}

function rejected(reportId: string, error: unknown): ReportAnswer {
  return { reportId, answer: 'rejected', code: codeOf(error), text: paragraphOf(error) };
}

function unanswered(reportId: string): never {
  throw new AgentError(
    'ControlPlaneInvalid',
    `The control plane answered a batch without a word on its report ${reportId}.`,
    'Upgrade the control plane.',
  );
}
