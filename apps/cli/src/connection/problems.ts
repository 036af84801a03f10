import { TRPCClientError } from '@trpc/client';
import { CodedError } from '@strideiq/core';
import { z } from 'zod';
import type { Connection } from '../access/connection.ts';
import { CliError, ProblemError } from '../errors.ts';
import { StreamBroken } from './event-stream.ts';
import { networkError } from './network-errors.ts';

/** What the control plane refuses with (RFC 9457), as far as it is used here. */
const problemSchema = z.object({ code: z.string(), status: z.number(), detail: z.string() });

/** The same beside a tRPC error, and in the answer that stands in a stream's place. */
const shapeSchema = z.object({ problem: problemSchema });
const answerSchema = z.object({ error: z.object({ data: shapeSchema }) });

/** Any error of a call in our own words: the control plane's refusals, the network's failures, and ours as they are. */
export function errorOf(error: unknown, { url, context }: Pick<Connection, 'url' | 'context'>): unknown {
  if (!(error instanceof TRPCClientError)) return error;
  const cause: unknown = error.cause instanceof StreamBroken ? error.cause.failure : error.cause;
  const refusal = shapeSchema.safeParse(error.data).data ?? answerSchema.safeParse(cause).data?.error.data;
  if (refusal) return refused(refusal.problem, url, context);
  if (cause instanceof CodedError) return cause;
  if (cause instanceof Error) return cause.name === 'AbortError' ? cause : networkError(cause, url, false);
  return new CliError(
    'AddressWrong',
    `${url} answered as no control plane of this version does: ${error.message}`,
    'Check the address, and that program and control plane are of about the same age.',
    { cause: error },
  );
}

function refused({ code, status, detail }: z.infer<typeof problemSchema>, url: string, context?: string): ProblemError {
  if (status !== 401) return new ProblemError(code, status, detail);
  const again = `strideiq login --url ${url}${context === undefined ? '' : ` --context ${context}`}`;
  const cure = context === undefined ? 'Check STRIDEIQ_KEY.' : `Log in again with a key that holds: ${again}`;
  return new ProblemError(code, status, `${url} does not take this key: ${detail}`, cure);
}
