import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** The run that it was about, or that it began. */
    runId: string | undefined;
  }
}

/** Asked every few seconds by whoever watches: only worth a line to whoever looks for every line. */
const watched = new Set(['/healthz', '/readyz']);

/** One line for each request, when it is answered. Without its query, since people put secrets there. */
export function logRequests(app: FastifyInstance): void {
  app.decorateRequest('runId', undefined);
  app.addHook('onResponse', async (request, reply) => {
    const [path = ''] = request.url.split('?');
    const level = watched.has(path) ? 'debug' : 'info';
    request.log[level](
      {
        method: request.method,
        path,
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime),
        address: request.ip,
        ...(request.asking?.keyId === undefined ? {} : { keyId: request.asking.keyId }),
        ...(request.runId === undefined ? {} : { runId: request.runId }),
      },
      'request',
    );
  });
}
