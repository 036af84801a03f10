import { codeOf, paragraphOf } from '@strideiq/core';
import type { CommandEnvelope, CommandOf } from '@strideiq/protocol';
import type { CommandBook, Reason, TakenCommand } from '../journal/command-book.ts';
import type { CommandTaker } from '../link/connection.ts';
import { doCancel } from './do-cancel.ts';
import { doPresign } from './do-presign.ts';
import { envelopeOf, judgeCommand, type Judged } from './judge-command.ts';
import { jobOf, RunQueue, type RunQueueParts } from './run-queue.ts';
import { isRunCommand } from './work.ts';

/** More than anybody has reason to ask for at a time. */
const mostOpen = 500;

/**
 * What the control plane asks of this host: written down, acknowledged, and only then done, once for each id, whatever
 * happens in between.
 */
export class Commands implements CommandTaker {
  readonly #parts: RunQueueParts;
  readonly queue: RunQueue;
  /** By their command. */
  readonly #presigning = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();

  constructor(parts: RunQueueParts) {
    this.#parts = parts;
    this.queue = new RunQueue(parts);
  }

  get #book(): CommandBook {
    return this.#parts.host.journal.commands;
  }

  /**
   * Takes up what an earlier process of this host had taken on and not ended, and what this one could not end, since that
   * could not be written down.
   */
  resume(): void {
    // What is too late to be done cannot be told before.
    if (this.#parts.clock.now() === undefined) return;
    this.queue.endFinished();
    for (const command of this.#book.open()) if (command.state === 'acknowledged') this.#takeUp(command);
    this.queue.pump();
  }

  unacknowledged(): string[] {
    const waiting = this.#book.open().filter(({ state }) => state === 'delivered');
    return waiting.filter((command) => !this.#expireIfLate(command)).map(({ id }) => id);
  }

  receive(envelope: CommandEnvelope): boolean {
    if (this.#stop.signal.aborted) return false;
    const { commandId, kind } = envelope;
    const judged = judgeCommand(this.#parts.host, envelope);
    const refusal = 'refusal' in judged ? judged.refusal : this.#refuseTooMany(commandId);
    const isNew = this.#book.take(envelope, refusal);
    if (isNew && refusal) {
      this.#parts.events.warn(`${kind} was refused: ${refusal.code}: ${refusal.text}`, { commandId });
    }
    return true;
  }

  /** Whoever asks without end must not fill this host's disk. */
  #refuseTooMany(commandId: string): Reason | undefined {
    const open = this.#book.open();
    if (open.length < mostOpen || open.some(({ id }) => id === commandId)) return undefined;
    return { code: 'TooManyCommands', text: `${mostOpen} commands wait on this host already.` };
  }

  acknowledged(commandId: string): void {
    this.#book.acknowledged(commandId);
    const command = this.#book.get(commandId);
    if (command?.state === 'acknowledged') this.#takeUp(command);
  }

  #takeUp(command: TakenCommand): void {
    if (this.#stop.signal.aborted || this.queue.has(command.id) || this.#presigning.has(command.id)) return;
    // Anew, since the host's file may say otherwise by now.
    const judged = judgeCommand(this.#parts.host, envelopeOf(command));
    if ('refusal' in judged) this.#book.end(command.id, 'refused', judged.refusal);
    else this.#do(command, judged);
  }

  #do(taken: TakenCommand, { command, database }: Judged): void {
    const { host } = this.#parts;
    if (isRunCommand(command)) {
      const run = host.journal.get(command.runId);
      // Begun by an earlier process: clearing after it tells how it ended.
      if (run?.detail.commandId === command.commandId) return;
      if (run) {
        const text = `The run ${run.id} is in this host's journal already, and was not asked for by this command.`;
        this.#book.end(command.commandId, 'refused', { code: 'RunExists', text });
      } else if (this.#book.wasCancelled(command.runId)) this.queue.callOff(jobOf(command, database));
      else this.queue.add(jobOf(command, database));
      return;
    }
    if (this.#expireIfLate(taken)) return;
    if (command.kind === 'cancel') this.#cancel(command);
    else this.#presign(command, database);
  }

  #expireIfLate({ id, kind, expiresAt }: TakenCommand): boolean {
    const serverNow = this.#parts.clock.now();
    if (serverNow === undefined || serverNow <= expiresAt) return false;
    const text = `The ${kind} came to this host after ${new Date(expiresAt).toISOString()}, until when it was good.`;
    this.#book.end(id, 'expired', { code: 'CommandExpired', text });
    return true;
  }

  #cancel(command: CommandOf<'cancel'>): void {
    const { host, events } = this.#parts;
    const { commandId, body } = command;
    try {
      doCancel({ command, host, queue: this.queue });
      events.info('it was cancelled from outside', { runId: body.runId, commandId });
      this.#book.end(commandId, 'done');
    } catch (error) {
      this.#book.end(commandId, 'refused', { code: codeOf(error), text: paragraphOf(error) });
    }
  }

  #presign(command: CommandOf<'presign' | 'presignUpload'>, database: Judged['database']): void {
    const { clock, controlPlane, events } = this.#parts;
    const { signal } = this.#stop;
    const host = this.#parts.host.forWork(signal);
    const { commandId } = command;
    const progress = this.#parts.progress.of(commandId);
    const warn = (text: string) => events.warn(text, { commandId });
    const work = { command, database, host, clock, controlPlane, signal, progress, warn };
    const done = doPresign(work)
      .then(() => this.#book.end(commandId, 'done'))
      .catch((error: unknown) => {
        // Where this agent stops, whoever asked has no use for it later.
        this.#book.end(commandId, 'refused', { code: codeOf(error), text: paragraphOf(error) });
      })
      .catch((error: unknown) =>
        this.#parts.events.error(`${command.kind} could not be ended: ${paragraphOf(error)}`, { commandId }),
      )
      .finally(() => {
        host.close();
        this.#presigning.delete(commandId);
      });
    this.#presigning.set(commandId, done);
  }

  /** Takes no more, and ends what is under way in good order. */
  async stop(reason: Error): Promise<void> {
    this.#stop.abort(reason);
    await this.queue.stop(reason);
    await Promise.all(this.#presigning.values());
  }
}
