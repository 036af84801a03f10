import type { FastifyInstance } from 'fastify';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { ApiContext, ApiParts } from '../api/context.ts';
import { followRun } from '../api/follow-run.ts';
import { isOpen } from '../runs/open-states.ts';
import { restPath, runEventsPath } from './rest-procedures.ts';
import { callProcedure } from './rest.ts';
import { contextOf } from './who-asks.ts';

/** A proxy ends what is silent for a minute. */
const heartbeatMs = 15_000;

/**
 * Server-sent events of one run (WHATWG HTML, 9.2): the run as `runs.get` tells it, now and at each change, and the event
 * `end` once it has ended. Who may not see the run is refused as there.
 */
export function mountRunEvents(app: FastifyInstance, parts: ApiParts): void {
  app.get<{ Params: { runId: string } }>(
    restPath + runEventsPath.replace('{runId}', ':runId'),
    async (request, reply) => {
      const { runId } = request.params;
      const context = contextOf(request, parts);
      await callProcedure('runs.get', { runId }, context);
      request.runId = runId;
      // Before the answer begins, so that a refusal can still be told as one.
      const leave = parts.followers.take(context.asking.keyId ?? '');
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const stream = new PassThrough();
      void tell(stream, context, runId, gone.signal).finally(leave);
      return reply
        .type('text/event-stream')
        .header('x-accel-buffering', 'no')
        .header('cache-control', 'no-store, no-transform')
        .send(stream);
    },
  );
}

/** Ends the stream, whatever happens: with an error where the run could not be told to its end. */
async function tell(stream: PassThrough, context: ApiContext, runId: string, gone: AbortSignal): Promise<void> {
  const heartbeat = setInterval(() => stream.write(': still here\n\n'), heartbeatMs);
  let isOver = false;
  try {
    for await (const run of followRun(context, runId, gone)) {
      isOver = !isOpen(run.state);
      const taken = stream.write(`event: run\ndata: ${JSON.stringify(run)}\n\n`);
      // Whoever reads slowly is told less often, and the memory stays ours.
      if (!taken) await once(stream, 'drain', { signal: gone });
    }
    // A run that goes on when the program stops has not ended: whoever listens then comes back by itself.
    if (isOver) stream.write('event: end\ndata: {}\n\n');
    stream.end();
  } catch (error) {
    stream.destroy(gone.aborted ? undefined : (error as Error));
  } finally {
    clearInterval(heartbeat);
  }
}
