import { formsOfSecret, secretOf, textSchema, variableSchema } from '@strideiq/configuration';
import { paragraphOf } from '@strideiq/core';
import { redacted } from '@strideiq/terminal';
import { z } from 'zod';
import { outgoingUrl } from '../channels/outgoing-url.ts';
import { holdsOneOf } from '../configuration/holds-one-of.ts';
import type { Log } from '../log.ts';

/** Where somebody else notices that this program is silent. */
export const heartbeatSchema = z
  .strictObject({
    url: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('The URL, where it holds no secret.'),
    urlFile: textSchema.optional().describe('File that holds it.'),
    urlEnv: variableSchema.optional().describe('Environment variable that holds it.'),
  })
  .refine(...holdsOneOf(['url', 'urlFile', 'urlEnv']));
export type HeartbeatConfiguration = z.output<typeof heartbeatSchema>;

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
const limitMs = 10_000;

/**
 * A dead man's switch: says each minute that this program is well, to a service that raises an alarm when it hears nothing. In the
 * convention of healthchecks.io (https://healthchecks.io/docs/http_api/): a POST to the URL, or to `/fail` below it with what is wrong.
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
      const url = await this.#url();
      const answer = await fetch(wrong === undefined ? url : belowOf(url, 'fail'), {
        method: 'POST',
        body: wrong ?? '',
        headers: { 'user-agent': 'StrideIQ-Backup', 'content-type': 'text/plain' },
        // Whoever it was given to is the only one to know it.
        redirect: 'manual',
        signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(limitMs)]),
      });
      await answer.body?.cancel();
      if (!answer.ok) throw new Error(`it answered ${answer.status}`);
      this.#said = '';
    } catch (error) {
      const text = redacted(paragraphOf(error), secrets);
      if (this.#stopping.signal.aborted || text === this.#said) return;
      this.#said = text;
      log.warn({}, `the heartbeat did not arrive: ${text}`);
    }
  }

  /** Read anew each time, as it may be another by now. */
  async #url(): Promise<URL> {
    const { said, env, secrets, allowPlainText } = this.#parts;
    const text = said.url ?? (await secretOf(said.urlFile, said.urlEnv, env, 'the URL of the heartbeat')) ?? '';
    for (const form of formsOfSecret(text)) secrets.add(form);
    return outgoingUrl(text, allowPlainText);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the control plane stops'));
    clearTimeout(this.#timer);
    await this.#beating;
    clearTimeout(this.#timer);
  }
}

function belowOf(url: URL, name: string): URL {
  const below = new URL(url);
  below.pathname = `${url.pathname.replace(/\/+$/, '')}/${name}`;
  return below;
}
