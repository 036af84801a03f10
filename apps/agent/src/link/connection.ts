import { codeOf, databaseIdOf, paragraphOf } from '@strideiq/core';
import {
  commandEnvelopeSchema,
  heartbeatIntervalMs,
  openAgentClient,
  policiesSchema,
  progressIntervalMs,
  type CommandEnvelope,
  type Heartbeat,
  type HelloAnswer,
} from '@strideiq/protocol';
import { setTimeout as delay } from 'node:timers/promises';
import { within } from '../backup/within.ts';
import type { AgentConfiguration } from '../configuration/index.ts';
import type { Events } from '../daemon/events.ts';
import type { Discovery } from '../discovery/discovery.ts';
import { AgentError } from '../errors.ts';
import type { Journal } from '../journal/journal.ts';
import type { JournalPosition } from '../journal/outbox.ts';
import type { KeptPolicies } from '../policies/kept-policies.ts';
import type { ProgressBoard } from '../progress/progress-board.ts';
import { ask, unreachable, type Api } from './api.ts';
import { ReportDelivery } from './deliver-reports.ts';
import { helloOf } from './hello.ts';
import { InTurn } from './in-turn.ts';
import type { ServerClock } from './server-clock.ts';

/** How soon the control plane hears of a database that was found. */
const declareEveryMs = 1_000;

/** Runs that one progress message tells of. */
const mostRuns = 100;

/** Who does what commands ask for. */
export interface CommandTaker {
  /** The control plane is there, and its time is known: what was taken on and not ended goes on. */
  resume(): void;
  /** Those that are written down, and of which the control plane does not know that yet. */
  unacknowledged(): string[];
  /**
   * Writes a command down.
   * @returns false where it is not to be acknowledged: this host takes none any more
   */
  receive(envelope: CommandEnvelope): boolean;
  /** The control plane knows that it is written down: it may be begun. */
  acknowledged(commandId: string): void;
}

export interface ConnectionParts {
  policies: KeptPolicies;
  discovery: Pick<Discovery, 'recall'>;
  journal: Journal;
  now: () => number;
  clock: ServerClock;
  commands: CommandTaker;
  progress: ProgressBoard;
  /** What was measured last. */
  facts: () => Promise<Pick<Heartbeat, 'databases' | 'stores'>>;
  events: Events;
}

/** This state directory was set back: what it has to tell is told as another journal's, on a new connection. */
export class JournalRenewed extends Error {}

/**
 * One connection from its beginning to its end. Whatever goes wrong on it ends all of it: it is never mended, and the next
 * one begins anew.
 */
export class Connection {
  readonly #parts: ConnectionParts;
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  readonly #api: Api;
  readonly #close: () => void;
  /** Hello, reports, acknowledgements and settled: each of them means something to what follows it. */
  readonly #inTurn = new InTurn();
  #delivery: ReportDelivery | undefined;
  #keepsPolicies = false;
  /** There is something that a heartbeat is to tell at once. */
  #beatNow = Promise.withResolvers<void>();
  /** What this host has said of itself. */
  #declared: AgentConfiguration | undefined;

  /** @param stop ends it from this side */
  constructor(parts: ConnectionParts, target: { url: string; credential: string }, stop: AbortSignal) {
    this.#parts = parts;
    this.#signal = AbortSignal.any([stop, this.#over.signal]);
    const client = openAgentClient({
      ...target,
      onClose: (why, refusal) => this.#over.abort(refusal ?? unreachable(why)),
    });
    this.#api = client.api;
    this.#close = client.close;
  }

  get api(): Api {
    return this.#api;
  }

  /** Aborted with the reason once it is over. */
  get signal(): AbortSignal {
    return this.#signal;
  }

  get isDrained(): boolean {
    return this.#delivery?.isDrained ?? false;
  }

  /**
   * @throws CodedError with the control plane's own code, where it refuses; AgentError `ControlPlaneUnreachable`,
   *   `EnvironmentMismatch`; JournalRenewed
   */
  async hello(): Promise<HelloAnswer> {
    const { outbox } = this.#parts.journal;
    const position = outbox.position();
    const answer = await this.#greet(position);
    this.#delivery = new ReportDelivery(
      {
        outbox,
        events: this.#parts.events,
        send: async (batch) => {
          // What is reported of a database that the control plane has not heard of would be refused.
          await this.#declareAnew();
          return this.#ask('report', (options) => this.#api.report.mutate(batch, options));
        },
        settle: (seq) => this.#settle(seq),
        signal: this.#signal,
      },
      position.journalId,
      answer.highWater,
    );
    return answer;
  }

  /** Says what this host is, and what it looks after by now. */
  async #greet(position: JournalPosition): Promise<HelloAnswer> {
    const { journal, now, clock, policies, events } = this.#parts;
    const { file } = policies;
    const sentAt = now();
    this.#declared = file;
    const answer = await this.#ask('hello', (options) =>
      this.#api.hello.mutate(helloOf(policies, position, sentAt), options),
    );
    if (answer.environment !== file.environment) throw mismatch(answer.environment, file.environment);
    clock.learn(answer.serverTime, sentAt);
    if (!journal.reconcile(answer.highWater)) throw new JournalRenewed('the journal was set back');
    this.#keepsPolicies = answer.keepsPolicies === true;
    for (const { name, code, text } of answer.refusedDatabases) {
      events.error(`the control plane does not take ${name} from this host: ${code}: ${text}`);
    }
    return answer;
  }

  /** Where other databases were found since the last hello, another one tells of them. */
  async #declareAnew(): Promise<void> {
    const { discovery, policies, journal } = this.#parts;
    discovery.recall();
    if (policies.file !== this.#declared) await this.#greet(journal.outbox.position());
  }

  /**
   * Does everything that a connection is for until it is over, and leaves nothing of it open.
   * @throws why it is over
   */
  async serve(): Promise<never> {
    const delivery = this.#delivery;
    if (!delivery) throw new Error('hello comes first');
    this.#parts.commands.resume();
    if (this.#keepsPolicies) this.#followPolicies();
    const loops = [delivery.run(), this.#heartbeats(), this.#progress(), this.#declarations()];
    try {
      return await Promise.race(loops);
    } catch (error) {
      this.#over.abort(error);
      throw error;
    } finally {
      await Promise.allSettled(loops);
    }
  }

  /** Ends it, whatever it is at. */
  close(): void {
    this.#over.abort(unreachable('it was closed by this host'));
    this.#close();
  }

  /** In turn with the others that are done by `#ask`. */
  async #ask<T>(what: string, call: (options: { signal: AbortSignal }) => Promise<T>): Promise<T> {
    return this.#inTurn.do(() => ask(what, call, this.#signal));
  }

  /** All is delivered: says what is still open, and takes commands from then on. */
  async #settle(seq: number): Promise<boolean> {
    const { journal, commands, policies } = this.#parts;
    for (const commandId of commands.unacknowledged()) await this.#acknowledge(commandId);
    const open = journal.openAt(seq, databaseIdsOf(policies.file));
    if (!open) return false;
    await this.#ask('settled', (options) => this.#api.settled.mutate(open, options));
    this.#subscribe();
    return true;
  }

  #subscribe(): void {
    const onData = (said: unknown) => void this.#take(said).catch((error: unknown) => this.#over.abort(error));
    this.#follow((ends) =>
      this.#api.commands.subscribe(undefined, { onData, ...ends('it sends no commands any more') }),
    );
  }

  #followPolicies(): void {
    const onData = (said: unknown) => this.#takePolicies(said);
    this.#follow((ends) =>
      this.#api.policies.subscribe(undefined, { onData, ...ends('it tells no policies any more') }),
    );
  }

  /** A subscription that is refused or ends is the end of the connection: it would not come back by itself. */
  #follow(
    subscribe: (ends: (why: string) => { onError: (error: Error) => void; onComplete: () => void }) => {
      unsubscribe: () => void;
    },
  ): void {
    const subscription = subscribe((why) => ({
      onError: (error) => this.#over.abort(unreachable(error.message, error)),
      onComplete: () => this.#over.abort(unreachable(why)),
    }));
    this.#signal.addEventListener('abort', () => subscription.unsubscribe(), { once: true });
  }

  /** What cannot be read or written down leaves those in force that were. */
  #takePolicies(said: unknown): void {
    const { policies, events } = this.#parts;
    const read = policiesSchema.safeParse(said);
    if (!read.success) {
      events.error(`the control plane sent policies that are none: ${read.error.issues[0]?.message ?? ''}`);
      return;
    }
    try {
      const { notes, problems } = policies.take(read.data);
      for (const note of notes) events.info(note);
      for (const problem of problems) events.error(problem);
    } catch (error) {
      events.error(`policies could not be written down, and those of before are gone by: ${paragraphOf(error)}`);
      // They are told once on a connection: the next brings them again.
      this.#over.abort(unreachable('what it told could not be kept', error));
    }
    this.#beatNow.resolve();
  }

  async #take(said: unknown): Promise<void> {
    const { commands, events } = this.#parts;
    const envelope = commandEnvelopeSchema.safeParse(said);
    if (!envelope.success) {
      events.error(`the control plane sent what is no command: ${envelope.error.issues[0]?.message ?? ''}`);
      return;
    }
    if (commands.receive(envelope.data)) await this.#acknowledge(envelope.data.commandId);
  }

  async #acknowledge(commandId: string): Promise<void> {
    try {
      await this.#ask('acknowledge', (options) => this.#api.acknowledge.mutate({ commandId }, options));
    } catch (error) {
      // A catalog that was set back has forgotten what it asked for, and will hear of it by the reports.
      if (codeOf(error) !== 'CommandUnknown') throw error;
    }
    this.#parts.commands.acknowledged(commandId);
  }

  async #heartbeats(): Promise<never> {
    const { now, clock, facts } = this.#parts;
    for (;;) {
      this.#beatNow = Promise.withResolvers();
      const measured = await within(facts(), { signal: this.#signal });
      const sentAt = now();
      const message = { sentAt: new Date(sentAt).toISOString(), ...measured };
      const beat = (options: { signal: AbortSignal }) => this.#api.heartbeat.mutate(message, options);
      const { serverTime } = await ask('heartbeat', beat, this.#signal);
      clock.learn(serverTime, sentAt);
      await Promise.race([this.#sleep(heartbeatIntervalMs), this.#beatNow.promise]);
    }
  }

  async #declarations(): Promise<never> {
    for (;;) {
      await this.#declareAnew();
      await this.#sleep(declareEveryMs);
    }
  }

  async #progress(): Promise<never> {
    for (;;) {
      const runs = this.#parts.progress.take(mostRuns);
      if (runs.length > 0)
        await ask('progress', (options) => this.#api.progress.mutate({ runs }, options), this.#signal);
      await this.#sleep(progressIntervalMs);
    }
  }

  async #sleep(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#signal }).catch(() => undefined);
    this.#signal.throwIfAborted();
  }
}

function databaseIdsOf({ environment, databases }: AgentConfiguration): string[] {
  return Object.values(databases).map(({ name }) => databaseIdOf(environment, name));
}

function mismatch(theirs: string, ours: string): AgentError {
  return new AgentError(
    'EnvironmentMismatch',
    `The control plane knows this host as one of ${theirs}, and agent.yaml says environment: ${ours}.`,
    'Correct agent.yaml, or enrol this host again with a token of the right environment.',
  );
}
