import { paragraphOf } from '@strideiq/core';
import { heartbeatUrl, ping, type HeartbeatConfiguration } from '@strideiq/heartbeat';
import { redacted } from '@strideiq/terminal';
import type { Log } from '../log.ts';

export interface HeartbeatParts {
  said: HeartbeatConfiguration;
  env: NodeJS.ProcessEnv;
  secrets: Set<string>;
  allowPlainText: boolean;
  /** What is wrong; undefined where all is well; null where nobody can say yet. */
  problem: () => string | undefined | null;
  log: Log;
}

const everyMs = 60_000;

/**
 * A dead man's switch: says each minute that this program is well, or what is wrong, to a service that raises an alarm when it
 * hears nothing.
 */
export class Heartbeat {
  readonly #parts: HeartbeatParts;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();
  #said = '';

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  start(): void {
    if (this.#stopping.signal.aborted) return;
    this.#beating = this.beat().finally(() => {
      this.#timer = setTimeout(() => this.start(), everyMs);
      this.#timer.unref();
    });
  }

  /** Says once how it is. Never rejects: what is wrong with it is logged, once for each reason. */
  async beat(): Promise<void> {
    const { problem, secrets, log } = this.#parts;
    const wrong = problem();
    if (wrong === null) return;
    try {
      const url = await heartbeatUrl(this.#parts.said, this.#parts);
      await ping(url, wrong === undefined ? {} : { kind: 'fail', text: wrong }, this.#stopping.signal);
      this.#said = '';
    } catch (error) {
      const text = redacted(paragraphOf(error), secrets);
      if (this.#stopping.signal.aborted || text === this.#said) return;
      this.#said = text;
      log.warn({}, `the heartbeat did not arrive: ${text}`);
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the control plane stops'));
    clearTimeout(this.#timer);
    await this.#beating;
    clearTimeout(this.#timer);
  }
}
