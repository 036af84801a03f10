import { CodedError, codeOf, paragraphOf } from '@strideiq/core';
import { initTRPC, TRPCError } from '@trpc/server';
import { z } from 'zod';
import { acknowledgementSchema, type Acknowledgement, type CommandEnvelope } from './commands.ts';
import { heartbeatAnswerSchema, heartbeatSchema, type Heartbeat, type HeartbeatAnswer } from './heartbeat.ts';
import { helloAnswerSchema, helloSchema, type Hello, type HelloAnswer } from './hello.ts';
import type { Policies } from './policies.ts';
import { progressSchema, type ProgressMessage } from './progress.ts';
import {
  reportAnswersSchema,
  reportBatchSchema,
  settledSchema,
  type ReportAnswers,
  type ReportBatch,
  type Settled,
} from './reports.ts';
import {
  presignedSchema,
  sourceUrlsRequestSchema,
  sourceUrlsSchema,
  type Presigned,
  type SourceUrls,
  type SourceUrlsRequest,
} from './source.ts';

/**
 * What the control plane does with each message. `Context` is whatever it knows of the connection, the agent's identity
 * first of all. A thrown `CodedError` reaches the agent with its code and words; everything else as `Unexpected`.
 */
export interface AgentHandlers<Context> {
  hello(context: Context, hello: Hello): Promise<HelloAnswer>;
  report(context: Context, batch: ReportBatch): Promise<ReportAnswers>;
  settled(context: Context, settled: Settled): Promise<void>;
  heartbeat(context: Context, heartbeat: Heartbeat): Promise<HeartbeatAnswer>;
  progress(context: Context, progress: ProgressMessage): Promise<void>;
  acknowledge(context: Context, acknowledgement: Acknowledgement): Promise<void>;
  sourceUrls(context: Context, request: SourceUrlsRequest): Promise<SourceUrls>;
  presigned(context: Context, presigned: Presigned): Promise<void>;
  /** Every command that is unacknowledged and unexpired, and then each new one, until `signal` aborts. */
  commands(context: Context, signal: AbortSignal): AsyncIterable<CommandEnvelope>;
  /** The policies of the agent's databases, and all of them anew with each change, until `signal` aborts. */
  policies(context: Context, signal: AbortSignal): AsyncIterable<Policies>;
}

/** What an error looks like on the wire, beside tRPC's own: `data.coded`. */
export interface WireError {
  code: string;
  text: string;
}

/** The agent's procedures, as the control plane serves them at `agentPath`. Their names and shapes are append-only. */
export function createAgentRouter<Context extends object>(handlers: AgentHandlers<Context>) {
  const t = initTRPC.context<object>().create({
    isServer: true,
    errorFormatter({ shape, error }) {
      return {
        ...shape,
        data: { code: shape.data.code, httpStatus: shape.data.httpStatus, coded: wireErrorOf(error) },
      };
    },
  });
  // Whoever serves the router makes the context; tRPC's own types cannot carry a type that is not known yet.
  const of = (context: object): Context => context as Context;
  const nothing = z.void();
  return t.router({
    hello: t.procedure
      .input(helloSchema)
      .output(helloAnswerSchema)
      .mutation(async ({ ctx, input }) => handlers.hello(of(ctx), input)),
    report: t.procedure
      .input(reportBatchSchema)
      .output(reportAnswersSchema)
      .mutation(async ({ ctx, input }) => handlers.report(of(ctx), input)),
    settled: t.procedure
      .input(settledSchema)
      .output(nothing)
      .mutation(async ({ ctx, input }) => handlers.settled(of(ctx), input)),
    heartbeat: t.procedure
      .input(heartbeatSchema)
      .output(heartbeatAnswerSchema)
      .mutation(async ({ ctx, input }) => handlers.heartbeat(of(ctx), input)),
    progress: t.procedure
      .input(progressSchema)
      .output(nothing)
      .mutation(async ({ ctx, input }) => handlers.progress(of(ctx), input)),
    acknowledge: t.procedure
      .input(acknowledgementSchema)
      .output(nothing)
      .mutation(async ({ ctx, input }) => handlers.acknowledge(of(ctx), input)),
    sourceUrls: t.procedure
      .input(sourceUrlsRequestSchema)
      .output(sourceUrlsSchema)
      .mutation(async ({ ctx, input }) => handlers.sourceUrls(of(ctx), input)),
    presigned: t.procedure
      .input(presignedSchema)
      .output(nothing)
      .mutation(async ({ ctx, input }) => handlers.presigned(of(ctx), input)),
    commands: t.procedure.subscription(async function* ({ ctx, signal }) {
      yield* handlers.commands(of(ctx), signal ?? new AbortController().signal);
    }),
    policies: t.procedure.subscription(async function* ({ ctx, signal }) {
      yield* handlers.policies(of(ctx), signal ?? new AbortController().signal);
    }),
  });
}

export type AgentRouter = ReturnType<typeof createAgentRouter>;

/** A message that does not fit is the sender's fault, an error without a code is ours: its words stay here. */
function wireErrorOf(error: TRPCError): WireError {
  const { cause } = error;
  if (cause instanceof CodedError) return { code: codeOf(cause), text: paragraphOf(cause) };
  if (error.code === 'BAD_REQUEST') return { code: 'MessageInvalid', text: error.message.slice(0, 2000) };
  return { code: 'Unexpected', text: 'The control plane failed at this; its log tells why.' };
}
