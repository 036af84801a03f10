import { TRPCClientError } from '@trpc/client';
import { CodedError } from '@strideiq/core';
import { z } from 'zod';
import type { Connection } from '../access/connection.ts';
import { CliError, ProblemError } from '../errors.ts';
import { StreamBroken } from './event-stream.ts';
import { networkError } from './network-errors.ts';

/** What the control plane refuses with (RFC 9457), as far as it is used here. */
const problemSchema = z.object({ code: z.string(), status: z.number(), detail: z.string() });

type Problem = z.infer<typeof problemSchema>;

/** The same beside a tRPC error, and in the answer that stands in a stream's place. */
const shapeSchema = z.object({ problem: problemSchema });
const answerSchema = z.object({ error: z.object({ data: shapeSchema }) });

/** Any error of a call in our own words: the control plane's refusals, the network's failures, and ours as they are. */
export function errorOf(error: unknown, { url, context }: Pick<Connection, 'url' | 'context'>): unknown {
  if (!(error instanceof TRPCClientError)) return error;
  const cause: unknown = error.cause instanceof StreamBroken ? error.cause.failure : error.cause;
  const problem = problemIn(error.data, error.meta?.['responseJSON'], cause);
  if (problem) return refused(problem, url, context);
  if (cause instanceof CodedError) return cause;
  const answered = error.meta?.['response'] !== undefined;
  if (cause instanceof Error && !answered) return cause.name === 'AbortError' ? cause : networkError(cause, url, false);
  return new CliError(
    'AddressWrong',
    `${url} answered as no control plane of this version does: ${error.message}`,
    'Check the address, and that program and control plane are of about the same age.',
    { cause: error },
  );
}

/** The refusal, wherever it stands: beside a tRPC error, as an answer of its own, or in the place of a stream. */
function problemIn(data: unknown, answer: unknown, cause: unknown): Problem | undefined {
  return (
    shapeSchema.safeParse(data).data?.problem ??
    problemSchema.safeParse(answer).data ??
    answerSchema.safeParse(cause).data?.error.data.problem ??
    problemSchema.safeParse(cause).data
  );
}

function refused({ code, status, detail }: Problem, url: string, context?: string): ProblemError {
  if (status !== 401) return new ProblemError(code, status, detail);
  const again = `strideiq login --url ${url}${context === undefined ? '' : ` --context ${context}`}`;
  const cure = context === undefined ? 'Check STRIDEIQ_KEY.' : `Log in again with a key that holds: ${again}`;
  return new ProblemError(code, status, `${url} does not take this key: ${detail}`, cure);
}
