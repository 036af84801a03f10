import { outgoingUrl } from '@strideiq/configuration';
import { paragraphOf } from '@strideiq/core';
import { redacted } from '@strideiq/terminal';
import { ChannelFailed } from './channel-failed.ts';
import { oneLine, shortened } from './words.ts';

/** How long a service may take to answer. */
const limitMs = 15_000;
const mostWaitMs = 3_600_000;

export interface Post {
  url: string;
  body: string;
  headers?: Record<string, string>;
  /** Whether it may go unencrypted beyond this host. */
  allowPlainText?: boolean;
  /** Texts that no error may hold. */
  secrets: Iterable<string>;
  signal: AbortSignal;
}

/**
 * Posts JSON, and is content with any answer of success. Redirects are not followed: a secret is for whom it was given to.
 * @throws ChannelFailed
 */
export async function postJson({
  url,
  body,
  headers = {},
  allowPlainText = false,
  secrets,
  signal,
}: Post): Promise<void> {
  const where = checked(url, allowPlainText);
  const clean = (text: string) => redacted(oneLine(text), secrets);
  let answer: Response;
  try {
    answer = await fetch(where, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', 'user-agent': 'StrideIQ-Backup', ...headers },
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(limitMs)]),
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw new ChannelFailed(`${where.host} does not answer: ${clean(paragraphOf(cause))}.`, { cause });
  }
  const said = await textOf(answer);
  if (answer.ok) return;
  const text = said === '' ? '' : `: ${clean(shortened(said, 300))}`;
  const isWorthAnother = answer.status >= 500 || answer.status === 408 || answer.status === 429;
  const retryAfterMs = retryAfterOf(answer.headers.get('retry-after'));
  throw new ChannelFailed(`${where.host} answered ${answer.status}${text}.`, {
    isWorthAnother,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** What is wrong with a URL is mended in the configuration alone. */
function checked(url: string, allowPlainText: boolean): URL {
  try {
    return outgoingUrl(url, allowPlainText);
  } catch (cause) {
    throw new ChannelFailed((cause as Error).message, { isWorthAnother: false });
  }
}

/** What it says is for people; that it cannot be read is no failure of its own. */
async function textOf(answer: Response): Promise<string> {
  try {
    return (await answer.text()).slice(0, 2000);
  } catch {
    return '';
  }
}

/** Seconds, or a date (RFC 9110, 10.2.3). */
function retryAfterOf(said: string | null): number | undefined {
  if (said === null) return undefined;
  const ms = /^\d+$/.test(said) ? Number(said) * 1000 : Date.parse(said) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), mostWaitMs) : undefined;
}
