import { codeOf, paragraphOf } from '@strideiq/core';
import { refusalOf, type AgentClient } from '@strideiq/protocol';
import { within } from '../backup/within.ts';
import { AgentError } from '../errors.ts';

export type Api = AgentClient['api'];

/** How long the control plane may take to answer; it writes to a disk before it does. */
const answerLimitMs = 20_000;

/**
 * One call over a connection, that lasts no longer than the limit and the connection.
 * @param what the call's name, for errors
 * @throws CodedError with the control plane's own code, where it refused; AgentError `ControlPlaneUnreachable`; the
 *   signal's reason once that aborts
 */
export async function ask<T>(
  what: string,
  call: (options: { signal: AbortSignal }) => Promise<T>,
  signal: AbortSignal,
  limitMs = answerLimitMs,
): Promise<T> {
  const over = new AbortController();
  try {
    return await within(call({ signal: over.signal }), {
      limitMs,
      signal,
      late: () => unreachable(`it has not answered \`${what}\` for ${Math.round(limitMs / 1000)} s`),
    });
  } catch (error) {
    signal.throwIfAborted();
    throw refusalOf(error) ?? (error instanceof AgentError ? error : unreachable(paragraphOf(error), error));
  } finally {
    // Nobody waits for it any more.
    over.abort();
  }
}

export function unreachable(why: string, cause?: unknown): AgentError {
  return new AgentError(
    'ControlPlaneUnreachable',
    `The control plane cannot be reached: ${why.replace(/\.$/, '')}.`,
    'It is tried again; this host goes on with its work meanwhile.',
    { cause },
  );
}

/** Refused in a way that trying again does not change: somebody has to act. */
const forGood = new Set([
  'CredentialInvalid',
  'EnvironmentMismatch',
  'ProtocolUnsupported',
  'MessageInvalid',
  'NotEnrolled',
  'StateUnusable',
]);

export function isForGood(error: unknown): boolean {
  return forGood.has(codeOf(error));
}
