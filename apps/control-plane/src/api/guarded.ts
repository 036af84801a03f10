import { CodedError } from '@strideiq/core';
import { initTRPC } from '@trpc/server';
import type { OpenApiMeta } from 'trpc-to-openapi';
import { z } from 'zod';
import type { Catalog } from '../catalog/open-catalog.ts';
import type { Role } from '../catalog/schema.ts';
import { ControlPlaneError, type ControlPlaneErrorCode } from '../errors.ts';
import { mayAct, mayReach, type Caller } from '../keys/caller.ts';
import type { ApiContext } from './context.ts';
import { problemOf, trpcErrorOf } from './problem.ts';

/**
 * Which environments a call is about:
 * - `listed`: those of the caller's key; the procedure shows only what is in them.
 * - `system`: the control plane itself; only for keys of all environments.
 * - a function: those that what was asked for belongs to, resolved from the thing itself. It throws `NotFound` where
 *   there is none; `all` stands for every environment.
 */
export type Scope<Input> = 'listed' | 'system' | ((input: Input, catalog: Catalog) => readonly string[] | 'all');

/** How a procedure is met by REST, below `/api/v1`. */
export interface Rest {
  method: 'GET' | 'POST' | 'DELETE';
  path: `/${string}`;
  summary: string;
  /** Default 200. 202 where work starts, 201 where something is made. */
  status?: 200 | 201 | 202;
  /** Codes that this procedure answers beside those that all do. */
  errors?: readonly ControlPlaneErrorCode[];
  /** Whether `Idempotency-Key` means something. */
  idempotent?: boolean;
}

export interface ApiMeta extends OpenApiMeta {
  guard: { role: Role; scope: 'listed' | 'system' | 'resource' };
  rest?: Rest;
}

const t = initTRPC
  .context<ApiContext>()
  .meta<ApiMeta>()
  .create({
    isServer: true,
    // A proxy ends what is silent for a minute, and a client that hears nothing comes back by itself.
    sse: { ping: { enabled: true, intervalMs: 15_000 }, client: { reconnectAfterInactivityMs: 40_000 } },
    errorFormatter: ({ shape: { code, data }, error }) => {
      const problem = problemOf(error);
      // Its words, and not those of an error of our own, which could be of the catalog or of a request's inside.
      return { code, message: problem.detail, data: { code: data.code, httpStatus: data.httpStatus, problem } };
    },
  });

export const router = t.router;

/** Every guard that was made here: who only claims to have one is not among them. */
const guards = new WeakSet<ApiMeta['guard']>();

/** Names of the procedures that this file did not make. */
export function unguarded({ _def }: { _def: { procedures: object } }): string[] {
  return Object.entries(_def.procedures as Record<string, { _def: { meta?: ApiMeta } }>).flatMap(
    ([name, procedure]) => {
      const guard = procedure._def.meta?.guard;
      return guard !== undefined && guards.has(guard) ? [] : [name];
    },
  );
}

interface Guarding<Input extends z.ZodType> {
  /** The least that may do this. */
  role: Role;
  scope: Scope<z.output<Input>>;
  input: Input;
}

/**
 * The only way to make a procedure: nothing else hands out tRPC's builder. Who asks and with what role is looked at
 * before what was sent, the environments as soon as it is read.
 */
export function guarded<Input extends z.ZodType, Output extends z.ZodType>({
  role,
  scope,
  input,
  output,
  rest,
}: Guarding<Input> & { output: Output; rest: Rest }) {
  return known({ role, scope, rest }).input(input).output(output).use(reaches(scope));
}

/** The same for what goes on telling; its REST face is a route of its own. */
export function guardedStream<Input extends z.ZodType>({ role, scope, input }: Guarding<Input>) {
  return known({ role, scope }).input(input).use(reaches(scope));
}

function known({ role, scope, rest }: { role: Role; scope: Scope<never>; rest?: Rest }) {
  const guard = { role, scope: typeof scope === 'function' ? ('resource' as const) : scope };
  guards.add(guard);
  return t.procedure
    .meta({ guard, ...(rest === undefined ? {} : { rest, openapi: openApiOf(rest) }) })
    .use(async ({ next }) => {
      const result = await next();
      if (!result.ok && result.error.cause instanceof CodedError) throw trpcErrorOf(result.error.cause);
      return result;
    })
    .use(async ({ ctx, path, next }) => {
      const { caller, refusal } = ctx.asking;
      if (caller === undefined) throw refused(ctx, path, refusal);
      if (!mayAct(caller, role)) throw refused(ctx, path, roleTooLow(caller, role));
      return next({ ctx: { caller } });
    });
}

function reaches<Input>(scope: Scope<Input>) {
  return t.middleware(async ({ ctx, path, input, next }) => {
    const { caller } = ctx.asking;
    if (caller === undefined) throw refused(ctx, path, ctx.asking.refusal);
    const needed = environmentsOf(scope, input as Input, ctx);
    if (!mayReach(caller, needed)) throw refused(ctx, path, notReached(caller, needed), unreachedBy(caller, needed));
    return next();
  });
}

function environmentsOf<Input>(scope: Scope<Input>, input: Input, { parts }: ApiContext): readonly string[] | 'all' {
  if (scope === 'system') return 'all';
  if (typeof scope === 'function') return scope(input, parts.catalog);
  // A list that is narrowed to an environment is asked for that one.
  const named = (input as { environment?: string } | undefined)?.environment;
  return named === undefined ? [] : [named];
}

/** Those that are named and that the caller's key is not for. */
function unreachedBy({ environments }: Caller, needed: readonly string[] | 'all'): string[] {
  return needed === 'all' ? [] : needed.filter((each) => environments?.includes(each) === false);
}

/** Refusals are audited, by whoever asked and for what, and in each environment that somebody was kept out of. */
function refused(
  { parts, asking, address }: ApiContext,
  procedure: string,
  error: ControlPlaneError,
  environments: readonly string[] = [],
): ControlPlaneError {
  for (const environment of environments.length === 0 ? [undefined] : environments) {
    parts.refusals.record({ keyId: asking.keyId, procedure, code: error.code, address, environment });
  }
  return error;
}

function roleTooLow({ name, role }: Caller, needed: Role): ControlPlaneError {
  return new ControlPlaneError(
    'RoleTooLow',
    `The key ${name} has the role ${role}, and this needs ${needed}.`,
    `Use a key with that role; an admin makes one with: strideiq keys create --role ${needed}`,
  );
}

function notReached(caller: Caller, needed: readonly string[] | 'all'): ControlPlaneError {
  const { name, environments } = caller;
  const reach = `The key ${name} is for ${environments?.join(', ') || 'no environment'}`;
  const missing = [...new Set(unreachedBy(caller, needed))].join(', ');
  return new ControlPlaneError(
    'EnvironmentNotAllowed',
    needed === 'all' ? `${reach}, and this needs one for all.` : `${reach}, and this is about ${missing}.`,
    'Use a key that is for it.',
  );
}

const idempotencyKey = z.object({
  'Idempotency-Key': z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('The same request again by the same key is one run.'),
});

function openApiOf({ method, path, summary, idempotent }: Rest): NonNullable<OpenApiMeta['openapi']> {
  return {
    method,
    path,
    summary,
    tags: [path.split('/')[1] ?? ''],
    protect: true,
    // Told by `http/open-api.ts`, as problem details.
    errorResponses: [],
    ...(idempotent === true ? { requestHeaders: idempotencyKey } : {}),
  };
}
