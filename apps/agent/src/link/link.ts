import { codeOf, paragraphOf } from '@strideiq/core';
import { setTimeout as delay } from 'node:timers/promises';
import { credentialVersion, loadCredential, type Credential } from '../enrolment/credential.ts';
import { AgentError } from '../errors.ts';
import type { LinkState } from '../journal/schema.ts';
import { ask, isForGood, unreachable, type Api } from './api.ts';
import { Backoff } from './backoff.ts';
import { Connection, JournalRenewed, type ConnectionParts } from './connection.ts';

export interface LinkParts extends ConnectionParts {
  /** Of the control plane, as the host's file names it. */
  url: string;
  /** Gets the credential, so that it is never printed. */
  secrets: Set<string>;
  random: () => number;
}

/** A connection that lived for so long was a good one. */
const heldMs = 30_000;

/** What is asked may have to be asked of another host first. */
const mostAnswerMs = 60_000;

/** How soon a new credential is noticed, or a stop. */
const lookEveryMs = 500;

/** Asks something of the control plane, on whatever connection there is. */
export interface AskControlPlane {
  /**
   * Waits for a connection where there is none, and asks again on the next where one is lost meanwhile.
   * @throws CodedError with the control plane's own code; AgentError `ControlPlaneUnreachable` once `limitMs` is over;
   *   the signal's reason
   */
  ask<T>(
    what: string,
    call: (api: Api, options: { signal: AbortSignal }) => Promise<T>,
    limits: { limitMs: number; signal: AbortSignal },
  ): Promise<T>;
}

/** Holds the line to the control plane, one connection after another. This host's work goes on when there is none. */
export class Link implements AskControlPlane {
  readonly #parts: LinkParts;
  readonly #backoff: Backoff;
  #current: Connection | undefined;
  #changed = Promise.withResolvers<void>();
  #said: string | undefined;

  constructor(parts: LinkParts) {
    this.#parts = parts;
    this.#backoff = new Backoff(parts.random);
  }

  /** Whether every report was delivered. */
  get isDrained(): boolean {
    return this.#current?.isDrained ?? false;
  }

  get isConnected(): boolean {
    return this.#current !== undefined;
  }

  /** Ends with the signal alone, and leaves no connection behind. */
  async run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const { stateDir } = this.#parts.policies.file;
      const version = credentialVersion(stateDir);
      let refused = false;
      try {
        await this.#hold(stop, (forGood) => (refused = forGood));
      } catch (error) {
        if (stop.aborted) break;
        if (error instanceof JournalRenewed) {
          this.#parts.events.warn('the state directory was set back; what it holds is told as another journal');
        } else this.#lost(error, refused);
      }
      await this.#wait(refused ? this.#backoff.slow() : this.#backoff.next(), version, stop);
    }
  }

  /** One connection. @param onRefused hears whether it was refused for good */
  async #hold(stop: AbortSignal, onRefused: (forGood: boolean) => void): Promise<void> {
    const { url, now } = this.#parts;
    let connection: Connection | undefined;
    let began: number | undefined;
    try {
      const { credential } = this.#credential();
      connection = new Connection(this.#parts, { url, credential }, stop);
      const { agentId, environment } = await connection.hello();
      began = now();
      this.#connected(connection);
      this.#say(`connected to ${url} as agent ${agentId} of ${environment}`);
      await connection.serve();
    } catch (error) {
      onRefused(began === undefined ? isForGood(error) : codeOf(error) === 'CredentialInvalid');
      throw error;
    } finally {
      connection?.close();
      this.#current = undefined;
      if (began !== undefined && now() - began >= heldMs) this.#backoff.reset();
    }
  }

  /** Read anew each time: this host may have enrolled again meanwhile. */
  #credential(): Credential {
    const { policies, secrets } = this.#parts;
    const credential = loadCredential(policies.file.stateDir, secrets);
    if (credential) return credential;
    throw new AgentError(
      'NotEnrolled',
      'This host has no credential any more.',
      'Enrol it: `strideiq-agent enroll --url URL --token TOKEN`.',
    );
  }

  #connected(connection: Connection): void {
    this.#current = connection;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    const { clock, now } = this.#parts;
    const { offsetMs } = clock;
    this.#note({ connected: true, at: now(), ...(offsetMs === undefined ? {} : { clockOffsetMs: offsetMs }) });
  }

  /** Said once for each reason, and not again with each try. */
  #lost(error: unknown, forGood: boolean): void {
    const { events, now, clock } = this.#parts;
    const text = error instanceof AggregateError || error instanceof Error ? paragraphOf(error) : String(error);
    const code = codeOf(error);
    const { offsetMs } = clock;
    if (this.#said === text) return;
    this.#said = text;
    if (forGood) events.error(text);
    else events.warn(text);
    this.#note({
      connected: false,
      at: now(),
      code,
      text,
      ...(offsetMs === undefined ? {} : { clockOffsetMs: offsetMs }),
    });
  }

  #say(text: string): void {
    this.#said = undefined;
    this.#parts.events.info(text);
  }

  /** For the doctor alone: the line is held whether or not this can be written down. */
  #note(state: LinkState): void {
    try {
      this.#parts.journal.outbox.noteLink(state);
    } catch (error) {
      this.#parts.events.error(`how it stands could not be written down: ${paragraphOf(error)}`);
    }
  }

  async #wait(ms: number, version: string | undefined, stop: AbortSignal): Promise<void> {
    const { stateDir } = this.#parts.policies.file;
    const until = performance.now() + ms;
    for (;;) {
      const left = until - performance.now();
      if (left <= 0 || stop.aborted || credentialVersion(stateDir) !== version) return;
      await delay(Math.min(left, lookEveryMs), undefined, { signal: stop }).catch(() => undefined);
    }
  }

  async ask<T>(
    what: string,
    call: (api: Api, options: { signal: AbortSignal }) => Promise<T>,
    { limitMs, signal }: { limitMs: number; signal: AbortSignal },
  ): Promise<T> {
    const late = AbortSignal.timeout(limitMs);
    let lastError: unknown = unreachable('there is no connection');
    for (;;) {
      signal.throwIfAborted();
      if (late.aborted) throw lastError;
      const connection = this.#current;
      const either = AbortSignal.any([signal, late, ...(connection ? [connection.signal] : [])]);
      if (!connection) {
        await Promise.race([this.#changed.promise, aborted(either)]);
        continue;
      }
      try {
        return await ask(what, async (options) => call(connection.api, options), either, mostAnswerMs);
      } catch (error) {
        if (signal.aborted || !(connection.signal.aborted || late.aborted))
          throw signal.aborted ? signal.reason : error;
        lastError = late.aborted ? lastError : error;
        // Until the next connection, if this one is not yet seen to be over.
        if (this.#current === connection)
          await Promise.race([this.#changed.promise, aborted(AbortSignal.any([signal, late]))]);
      }
    }
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
