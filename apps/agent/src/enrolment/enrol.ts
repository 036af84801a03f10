import { paragraphOf, type SigningKey } from '@strideiq/core';
import { enrolAnswerSchema, enrolmentProof, enrolPath, type EnrolRequest } from '@strideiq/protocol';
import { z } from 'zod';
import { AgentError, type AgentErrorCode } from '../errors.ts';
import type { Credential } from './credential.ts';
import { checkEncrypted } from './plain-text.ts';

/** What is said of this host when it enrols. */
export interface Enrolling {
  /** Of the control plane. */
  url: string;
  token: string;
  environment: string;
  hostname: string;
  agentVersion: string;
  key: SigningKey;
  allowPlainText: boolean;
  signal: AbortSignal;
}

/** How long the control plane may take to answer. */
const answerLimitMs = 20_000;

/** More than an answer or a refusal has. */
const mostAnswerBytes = 64 * 1024;

/** RFC 9457. */
const problemSchema = z.object({ code: z.string(), detail: z.string() });

/** What the control plane may refuse with, in the agent's own codes. */
const refusals: readonly AgentErrorCode[] = ['TokenInvalid', 'EnvironmentMismatch'];

/**
 * Trades a one-time token for a credential of this host's own.
 * @throws AgentError `UsageInvalid`, `PlainTextRefused`, `TokenInvalid`, `EnvironmentMismatch`,
 *   `ControlPlaneUnreachable`, `ControlPlaneInvalid`
 */
export async function enrol(enrolling: Enrolling): Promise<Credential> {
  const { token, environment, hostname, agentVersion, key, allowPlainText, signal } = enrolling;
  const url = checkedUrl(enrolling.url);
  checkEncrypted(url, allowPlainText);
  const proof = enrolmentProof(token, key.privatePem);
  const request: EnrolRequest = { token, environment, hostname, agentVersion, publicKeyPem: key.publicPem, proof };
  const { status, text } = await post(url, request, signal);
  if (status < 200 || status > 299) throw refusalOf(url, status, text);
  const answer = enrolAnswerSchema.safeParse(parseJson(text));
  if (!answer.success) throw invalid(url, `it answered ${status} without a credential`);
  return { url, ...answer.data };
}

/** Without a slash at its end, as everything else is put behind it. */
function checkedUrl(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text.replace(/\/+$/, '');
  throw new AgentError(
    'UsageInvalid',
    `${JSON.stringify(text)} is no address of a control plane.`,
    'Write it as https://backup.example.com.',
  );
}

async function post(
  url: string,
  request: EnrolRequest,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  try {
    const answer = await fetch(url + enrolPath, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(request),
      // The token is for the address that was named, and for no other that it points to.
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerLimitMs)]),
    });
    return { status: answer.status, text: await textOf(answer) };
  } catch (cause) {
    signal.throwIfAborted();
    const why =
      cause instanceof Error && cause.name === 'TimeoutError'
        ? `no answer for ${answerLimitMs / 1000} s`
        : paragraphOf(cause);
    throw new AgentError(
      'ControlPlaneUnreachable',
      `The control plane at ${url} cannot be reached: ${why}.`,
      'See that the address is right and that it runs: `curl -v URL/healthz` from this host tells. A private CA is named in NODE_EXTRA_CA_CERTS.',
      { cause },
    );
  }
}

async function textOf({ body }: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body ?? []) {
    bytes += piece.length;
    if (bytes > mostAnswerBytes) throw new Error(`it answers more than ${mostAnswerBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

function refusalOf(url: string, status: number, text: string): AgentError {
  const problem = problemSchema.safeParse(parseJson(text));
  if (!problem.success) return invalid(url, `it answered ${status} and said nothing of enrolment`);
  const { code, detail } = problem.data;
  const known = refusals.find((each) => each === code);
  return known
    ? new AgentError(known, detail)
    : new AgentError('ControlPlaneInvalid', `The control plane at ${url} refused (${code}): ${detail}`);
}

function invalid(url: string, why: string): AgentError {
  return new AgentError(
    'ControlPlaneInvalid',
    `There is no control plane at ${url}: ${why}.`,
    'Give the address under which its own front page opens in a browser, without any path behind it.',
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
