import { CodedError, paragraphOf } from '@strideiq/core';
import { TRPCError } from '@trpc/server';
import { z } from 'zod';
import { ControlPlaneError, statusOfCode } from '../errors.ts';

/** What every failure looks like: problem details (RFC 9457), with our stable `code` beside. */
export const problemSchema = z
  .object({
    type: z.string().describe('Names the kind of problem, by its code.'),
    title: z.string().describe('The kind of problem, in words that stay the same.'),
    status: z.int().describe('The HTTP status.'),
    detail: z.string().describe('What happened, to what, and what to do next.'),
    code: z.string().describe('Stable name of what went wrong, for programs.'),
    issues: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .describe('What is wrong with each key of what was sent.'),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problemSchema>;

/** Statuses by tRPC's names for them; what both know. */
const trpcCodes = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  409: 'CONFLICT',
  413: 'PAYLOAD_TOO_LARGE',
  422: 'UNPROCESSABLE_CONTENT',
  429: 'TOO_MANY_REQUESTS',
  502: 'BAD_GATEWAY',
} as const satisfies Record<number, TRPCError['code']>;

export function problem(code: string, status: number, detail: string, issues?: Problem['issues']): Problem {
  return {
    type: `urn:strideiq:problem:${code}`,
    title: code.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`),
    status,
    detail,
    code,
    ...(issues === undefined ? {} : { issues }),
  };
}

const unexpected = problem('Unexpected', 500, 'The control plane failed at this. Its log tells why.');

/**
 * How an error is told to whoever asked. An error without a code of ours is our own fault: its words stay in the log.
 */
export function problemOf(error: unknown): Problem {
  if (error instanceof TRPCError) return problemOfTrpc(error);
  if (error instanceof z.ZodError) return inputProblem(error);
  if (error instanceof CodedError) return problem(error.code, statusOf(error), paragraphOf(error));
  return unexpected;
}

/** What tRPC itself refuses, before any procedure is reached. */
const ofTrpc: Partial<Record<TRPCError['code'], Problem>> = {
  BAD_REQUEST: problem('InputInvalid', 400, 'What was sent is not JSON as this procedure takes it.'),
  PARSE_ERROR: problem('InputInvalid', 400, 'What was sent is not JSON as this procedure takes it.'),
  NOT_FOUND: problem('NotFound', 404, 'There is no such procedure. The API is described at /api/v1/openapi.json.'),
  METHOD_NOT_SUPPORTED: problem('InputInvalid', 405, 'Queries are asked by GET, mutations by POST.'),
  UNSUPPORTED_MEDIA_TYPE: problem('InputInvalid', 415, 'The body must be application/json.'),
  PAYLOAD_TOO_LARGE: problem('TooLarge', 413, 'What was sent is larger than the control plane takes.'),
};

function problemOfTrpc({ cause, code }: TRPCError): Problem {
  if (cause instanceof CodedError || cause instanceof z.ZodError) return problemOf(cause);
  return ofTrpc[code] ?? unexpected;
}

function inputProblem(error: z.ZodError): Problem {
  const issues = error.issues.flatMap((issue) => plainIssues(issue, []));
  const words = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  return problem('InputInvalid', 400, `What was sent cannot be used: ${words}.`, issues);
}

/** Of what may have several forms, what is wrong with the form that it comes nearest to: the one whose first fault lies deepest. */
function plainIssues(issue: z.core.$ZodIssue, base: readonly PropertyKey[]): { path: string; message: string }[] {
  const path = [...base, ...issue.path];
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) {
    return [{ path: path.map(String).join('.'), message: issue.message }];
  }
  const nearness = (issues: readonly z.core.$ZodIssue[]): number =>
    Math.max(...issues.map((each) => (each.code === 'invalid_type' ? each.path.length * 2 : each.path.length * 2 + 1)));
  const [nearest = []] = issue.errors.toSorted((one, other) => nearness(other) - nearness(one));
  return nearest.flatMap((each) => plainIssues(each, path));
}

function statusOf(error: CodedError): number {
  if (error instanceof ControlPlaneError) return error.status;
  return error.code in statusOfCode ? statusOfCode[error.code as keyof typeof statusOfCode] : 500;
}

/** An error of ours as tRPC hands it on, so that its HTTP status is right there too. */
export function trpcErrorOf(error: CodedError): TRPCError {
  const status = statusOf(error);
  const code = status in trpcCodes ? trpcCodes[status as keyof typeof trpcCodes] : 'INTERNAL_SERVER_ERROR';
  return new TRPCError({ code, message: paragraphOf(error), cause: error });
}
