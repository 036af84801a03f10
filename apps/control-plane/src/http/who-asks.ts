import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiContext, ApiParts } from '../api/context.ts';
import { ControlPlaneError } from '../errors.ts';
import type { Asking } from '../keys/api-keys.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks, looked up once and before anything else. */
    asking: Asking | undefined;
  }
}

/** Looks up who asks, at each request. A key that is none is refused by the procedure, and only there. */
export function knowCallers(app: FastifyInstance, { keys }: Pick<ApiParts, 'keys'>): void {
  app.decorateRequest('asking', undefined);
  app.addHook('onRequest', async (request) => {
    request.asking = keys.authenticate(request.headers.authorization);
  });
}

/** @throws ControlPlaneError `InputInvalid` for an `Idempotency-Key` that is none */
export function contextOf(request: FastifyRequest, parts: ApiParts): ApiContext {
  const authorization = request.headers.authorization;
  return {
    parts,
    asking: request.asking ?? parts.keys.authenticate(authorization),
    askAgain: () => parts.keys.authenticate(authorization),
    address: request.ip,
    idempotencyKey: idempotencyKeyOf(request),
  };
}

function idempotencyKeyOf({ headers }: FastifyRequest): string | undefined {
  const given = headers['idempotency-key'];
  if (given === undefined) return undefined;
  if (typeof given === 'string' && /^[\u0021-\u007E][\u0020-\u007E]{0,199}$/.test(given)) return given;
  throw new ControlPlaneError(
    'InputInvalid',
    'The header Idempotency-Key must be 1 to 200 printable characters.',
    'Make one for each thing that is asked for, such as a UUID.',
  );
}
