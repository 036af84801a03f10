import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { problem, problemOf, type Problem } from '../api/problem.ts';

/** Answers every failure as problem details, also of what no route knows. The rates are limited by then. */
export function answerErrors(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => answerProblem(request, reply, error));
  app.setNotFoundHandler({ preHandler: app.rateLimit() }, (request, reply) => {
    const [path = ''] = request.url.split('?');
    const detail = `There is no ${request.method} ${path}. The API is described at /api/v1/openapi.json.`;
    return sendProblem(reply, problem('NotFound', 404, detail));
  });
}

export function answerProblem(request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  return sendProblem(reply, knownProblem(request, error));
}

/** How a failure is told, whoever refused; logs what is our own fault. */
export function knownProblem(request: FastifyRequest, error: unknown): Problem {
  const found = ofFastify(error) ?? problemOf(error);
  if (found.status >= 500) request.log.error({ err: error }, 'a request failed');
  return found;
}

export function sendProblem(reply: FastifyReply, found: Problem): FastifyReply {
  return reply
    .code(found.status)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .send(JSON.stringify(found));
}

/** What Fastify itself refuses, before a route is reached. */
function ofFastify(error: unknown): Problem | undefined {
  const { code, statusCode, message } = error as Partial<FastifyError>;
  if (typeof code !== 'string' || !code.startsWith('FST_')) return undefined;
  switch (statusCode) {
    case 413:
      return problem('TooLarge', 413, 'What was sent is larger than 1 MiB, which is the most that is taken.');
    case 415:
      return problem('InputInvalid', 415, 'The body must be JSON. Say so: Content-Type: application/json');
    case 503:
      return problem('Unexpected', 503, 'The control plane is stopping. Ask again in a moment.');
    case undefined:
      return undefined;
    default:
      return statusCode < 500
        ? problem('InputInvalid', statusCode, `The request cannot be read: ${message}.`)
        : undefined;
  }
}
