import { mostBatchBytes, mostTextLength } from '@strideiq/protocol';
import { redacted } from '@strideiq/terminal';

/** What a batch and a report are made of beside the body. */
const envelopeBytes = 1024;

/** Where people's words stand; everything else is ours, short, and would mean something else if it were cut. */
const wordKeys = new Set(['text', 'warnings', 'problems', 'source']);

/**
 * A report's body as it may leave this host: no secret in it, no text longer than the protocol takes, and all of it
 * small enough for a batch of its own.
 */
export function fitted<Body extends object>(body: Body, secrets: ReadonlySet<string>): Body {
  let fit = body;
  for (let longest = mostTextLength; longest > 100; longest = Math.floor(longest / 2)) {
    fit = mapWords(body, (text) => cut(redacted(text, secrets), longest)) as Body;
    if (Buffer.byteLength(JSON.stringify(fit)) <= mostBatchBytes - envelopeBytes) break;
  }
  return fit;
}

function mapWords(value: unknown, change: (text: string) => string, areWords = false): unknown {
  if (typeof value === 'string') return areWords ? change(value) : value;
  if (Array.isArray(value)) return value.map((each) => mapWords(each, change, areWords));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, mapWords(each, change, wordKeys.has(key))]),
  );
}

function cut(text: string, longest: number): string {
  // Half a character would be none.
  return text.length <= longest ? text : `${text.slice(0, longest - 1).toWellFormed()}…`;
}
