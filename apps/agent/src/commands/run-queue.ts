import { durationText } from '@strideiq/terminal';
import { codeOf, paragraphOf, runStates, type RunState } from '@strideiq/core';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import type { About, Events } from '../daemon/events.ts';
import { AgentError } from '../errors.ts';
import { askedBy, type NewRun } from '../journal/journal.ts';
import type { AskControlPlane } from '../link/link.ts';
import type { ServerClock } from '../link/server-clock.ts';
import type { ProgressBoard } from '../progress/progress-board.ts';
import { Clearing } from './clearing.ts';
import { doDue } from './do-due.ts';
import { doRun } from './do-run.ts';
import { orGivenUp } from './or-given-up.ts';
import type { RunCommand } from './work.ts';

export interface RunQueueParts {
  host: Host;
  events: Events;
  clock: ServerClock;
  progress: ProgressBoard;
  controlPlane: AskControlPlane;
}

/** A run that was asked for, or that is due by this host's own schedule. */
export interface Job {
  runId: string;
  databaseId: string;
  kind: RunCommand['kind'];
  database: DatabaseConfiguration;
  /** What asked for it. */
  command?: RunCommand;
  /** The moment of the schedule that it is for, where nobody asked. */
  dueAt?: number;
  /** Names of the stores that it is for, where a schedule says so. */
  stores?: readonly string[];
}

export function jobOf(command: RunCommand, database: DatabaseConfiguration): Job {
  const { runId, databaseId, kind } = command;
  return { runId, databaseId, kind, database, command };
}

/** How long work that was told to end may take to do so in good order. */
const endingLimitMs = 45_000;

/** Does the runs that were asked for, and those that are due: in their order, one of a database at a time, and few at once. */
export class RunQueue {
  readonly #parts: RunQueueParts;
  /** In the order in which they came. */
  readonly #waiting = new Set<Job>();
  /** By their run. */
  readonly #working = new Map<string, { job: Job; interruption: AbortController; done: Promise<void> }>();
  /** Databases that are worked on, or cleared. */
  readonly #busy = new Set<string>();
  readonly #clearing: Clearing;
  readonly #stop = new AbortController();

  constructor(parts: RunQueueParts) {
    this.#parts = parts;
    this.#clearing = new Clearing(parts);
  }

  /** Whether a command's run waits, or is under way. */
  has(commandId: string): boolean {
    const jobs = [...this.#waiting, ...[...this.#working.values()].map(({ job }) => job)];
    return jobs.some(({ command }) => command?.commandId === commandId);
  }

  /** Whether that run waits, or is under way. */
  hasRun(runId: string): boolean {
    return this.#working.has(runId) || [...this.#waiting].some((job) => job.runId === runId);
  }

  /** Takes a run back that waits; one that is under way goes on. */
  withdraw(runId: string): void {
    for (const job of this.#waiting) if (job.runId === runId) this.#waiting.delete(job);
  }

  add(job: Job): void {
    this.#waiting.add(job);
    this.pump();
  }

  /** Begins what can be begun, and lets go of what has waited for too long. */
  pump(): void {
    if (this.#stop.signal.aborted) return;
    const { configuration } = this.#parts.host;
    const serverNow = this.#parts.clock.now();
    for (const job of this.#waiting) {
      const { command } = job;
      // Whether it may still be begun cannot be told before.
      if (command && serverNow === undefined) continue;
      if (command && serverNow !== undefined && serverNow > Date.parse(command.expiresAt)) this.#expire(job, command);
      else if (this.#working.size < configuration.runsAtOnce && !this.#busy.has(job.databaseId)) this.#begin(job);
    }
  }

  #expire(job: Job, { commandId, runId, kind, expiresAt }: RunCommand): void {
    this.#waiting.delete(job);
    const text = `This host could not begin the ${kind} before ${expiresAt}: it was away, or at other work.`;
    const about = { runId, commandId };
    this.#parts.events.warn(text, about);
    this.#written(about, () => {
      this.#parts.host.journal.commands.end(commandId, 'expired', { code: 'CommandExpired', text });
    });
  }

  /** Where a disk is full, say, the command stays open in the journal, and is taken up again. */
  #written(about: About, write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#parts.events.error(`its end could not be written down, and is tried again: ${paragraphOf(error)}`, about);
    }
  }

  /**
   * Ends a run, be it under way or waiting.
   * @returns false where it is neither
   */
  cancel(runId: string): boolean {
    const { journal } = this.#parts.host;
    const working = this.#working.get(runId);
    if (working) {
      journal.cancelling(runId);
      working.interruption.abort(
        new AgentError('Interrupted', 'It was cancelled from outside.', 'Nothing half done was kept.'),
      );
      return true;
    }
    const job = [...this.#waiting].find((each) => each.runId === runId);
    if (job) this.callOff(job);
    return job !== undefined;
  }

  /** Ends a run that has not begun, and will not any more. */
  callOff(job: Job): void {
    this.#waiting.delete(job);
    const { journal, configuration } = this.#parts.host;
    journal.callOff(runOf(job, configuration.environment), calledOff);
    if (job.command) journal.commands.end(job.command.commandId, 'done');
  }

  #begin(job: Job): void {
    this.#waiting.delete(job);
    const { runId, databaseId } = job;
    const interruption = new AbortController();
    this.#busy.add(databaseId);
    const done = this.#do(job, interruption.signal).finally(() => {
      this.#working.delete(runId);
      this.#busy.delete(databaseId);
      this.#parts.progress.end(runId);
      this.pump();
    });
    this.#working.set(runId, { job, interruption, done });
  }

  /** Never rejects. */
  async #do(job: Job, signal: AbortSignal): Promise<void> {
    const { host, events, progress, controlPlane, clock } = this.#parts;
    const { command, database, runId, kind } = job;
    const about = aboutOf(job);
    const ownHost = host.forWork(signal);
    const limit = this.#limit(job);
    let failure: unknown;
    try {
      await this.#clear(database, signal);
      signal.throwIfAborted();
      events.info(`${kind} of ${database.name} begins`, about);
      const warn = (text: string) => events.warn(`${database.name}: ${text}`, about);
      const work = { database, host: ownHost, progress: progress.of(runId), signal, warn };
      const run = command
        ? doRun({ ...work, command, controlPlane, clock })
        : doDue(kind, { ...work, asked: { runId, dueAt: job.dueAt }, stores: job.stores });
      // With two names half handed on nobody else may begin to clear; see in-place/recover.ts.
      const isSwapping = () => (host.journal.get(runId)?.detail.inPlace?.step ?? 'restoring') !== 'restoring';
      await orGivenUp(run, signal, endingLimitMs, isSwapping);
    } catch (error) {
      failure = error;
    } finally {
      clearTimeout(limit);
      ownHost.close();
    }
    this.#written(about, () => this.#end(job, failure));
  }

  /** Ends a run that takes longer than its database's may. */
  #limit({ runId, database: { name, runLimitMs } }: Job): NodeJS.Timeout | undefined {
    if (runLimitMs === undefined) return undefined;
    const late = () =>
      this.#working
        .get(runId)
        ?.interruption.abort(
          new AgentError(
            'RunTooLong',
            `It took longer than a run of ${name} may, ${durationText(runLimitMs)}, and was ended.`,
            'Nothing half done was kept. Look in its log what took so long, or raise `runLimit` in agent.yaml.',
          ),
        );
    return setTimeout(late, runLimitMs);
  }

  #end(job: Job, failure: unknown): void {
    const { host, events } = this.#parts;
    const { journal } = host;
    const { command, database, kind } = job;
    const about = aboutOf(job);
    const run = journal.get(job.runId);
    const failed = { code: codeOf(failure), text: paragraphOf(failure) };
    if (run) {
      const why = failure === undefined ? '' : `: ${paragraphOf(failure)}`;
      const ended = runStates.isFinal(run.state as RunState);
      const how = ended ? run.state : 'hangs, and is given up; what it leaves is cleared';
      const text = `${kind} of ${database.name} ${how}${why}`;
      if (run.state === 'succeeded') events.info(text, about);
      else events.warn(text, about);
      this.endFinished();
    } else if (failed.code !== 'Interrupted') {
      events.warn(`${kind} of ${database.name} was not begun: ${failed.text}`, about);
      if (command) journal.commands.end(command.commandId, 'refused', failed);
      else journal.notBegun(runOf(job, host.configuration.environment), failed);
    } else if (journal.commands.wasCancelled(job.runId)) this.callOff(job);
    // Else this agent stops, and begins it when it is there again.
  }

  /** Commands whose run has come to its end, by whichever process, are done. */
  endFinished(): void {
    const { journal } = this.#parts.host;
    for (const { id, runId } of journal.commands.open()) {
      const run = runId === null ? undefined : journal.get(runId);
      if (run && runStates.isFinal(run.state as RunState)) journal.commands.end(id, 'done');
    }
  }

  /** Clears what runs left on each database that nobody is at just now. */
  async clearIdle(): Promise<void> {
    const { host } = this.#parts;
    const databases = Object.values(host.configuration.databases);
    await Promise.all(
      databases.map(async (database) => {
        const databaseId = host.databaseIdOf(database);
        const { signal } = this.#stop;
        if (signal.aborted || this.#busy.has(databaseId)) return;
        if (host.journal.left.isBusy([databaseId], this.#working)) return;
        this.#busy.add(databaseId);
        await this.#clear(database, signal).finally(() => this.#busy.delete(databaseId));
        this.pump();
      }),
    );
  }

  /** Ends in time. */
  async #clear(database: DatabaseConfiguration, signal: AbortSignal): Promise<void> {
    await this.#clearing.clear(database, this.#working, signal);
    this.endFinished();
  }

  /** Begins nothing any more, and ends what is under way in good order. */
  async stop(reason: Error): Promise<void> {
    this.#stop.abort(reason);
    const working = [...this.#working.values()];
    for (const { interruption } of working) interruption.abort(reason);
    await Promise.all(working.map(async ({ done }) => done));
  }
}

const calledOff = { code: 'Interrupted', text: 'It was cancelled from outside before it had begun.' };

function aboutOf({ runId, command }: Job): About {
  return command ? { runId, commandId: command.commandId } : { runId };
}

/** One that was never begun. */
export function runOf({ runId, databaseId, database, kind, command, dueAt }: Job, environment: string): NewRun {
  const common = { id: runId, environment, database: database.name, databaseId };
  if (!command) {
    const detail = askedBy({ dueAt });
    return kind === 'verify' || kind === 'drill' ? { ...common, kind, detail } : { ...common, kind: 'backup', detail };
  }
  const { commandId } = command;
  if (command.kind === 'backup' || command.kind === 'verify') {
    return { ...common, kind: command.kind, detail: { commandId } };
  }
  if (command.kind === 'restoreUpload') {
    const { into, key } = command.body;
    return { ...common, kind: 'restore', detail: { commandId, into, source: key } };
  }
  const { source, backupId } = command.body;
  if (command.kind === 'drill') {
    return { ...common, kind: 'drill', detail: { commandId, source: source.key, backupId } };
  }
  const into = 'into' in command.body ? command.body.into : (database.connection.database ?? database.name);
  return { ...common, kind: 'restore', detail: { commandId, into, source: source.key, backupId } };
}
