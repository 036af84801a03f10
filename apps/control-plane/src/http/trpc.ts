import { fastifyRequestHandler } from '@trpc/server/adapters/fastify';
import type { FastifyInstance } from 'fastify';
import type { ApiParts } from '../api/context.ts';
import { problemOf } from '../api/problem.ts';
import { apiRouter } from '../api/router.ts';
import { knownProblem } from './errors.ts';
import { contextOf } from './who-asks.ts';

/** Calls of one request; more would pass by the limit of the rate. */
const mostCalls = 20;

/** The face for our own clients: tRPC by HTTP, subscriptions by server-sent events. */
export function mountTrpc(app: FastifyInstance, parts: ApiParts): void {
  void app.register(async (scope) => {
    // tRPC reads the body itself.
    scope.removeContentTypeParser('application/json');
    scope.addContentTypeParser('application/json', { parseAs: 'string' }, (_, body, done) => done(null, body));
    // What fails before a procedure is reached, in the form that tRPC's client reads.
    scope.setErrorHandler((error, request, reply) => {
      const found = knownProblem(request, error);
      const data = { code: 'INTERNAL_SERVER_ERROR', httpStatus: found.status, problem: found };
      return reply.code(found.status).send({ error: { message: found.detail, code: -32_603, data } });
    });
    scope.all<{ Params: { path: string } }>('/trpc/:path', async (request, reply) => {
      const context = contextOf(request, parts);
      await fastifyRequestHandler({
        router: apiRouter,
        req: request,
        res: reply,
        path: request.params.path,
        maxBatchSize: mostCalls,
        createContext: () => context,
        onError: ({ error, path }) => {
          if (problemOf(error).status < 500) return;
          request.log.error({ err: error, procedure: path }, 'a request failed');
        },
      });
    });
  });
}
