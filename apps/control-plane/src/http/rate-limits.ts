import rateLimit, { normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ControlPlaneError } from '../errors.ts';

export interface RateLimits {
  /** Requests in a minute by one key. */
  perKey: number;
  /** Requests in a minute from one address without a good key. */
  perAddress: number;
}

/** Callers that are remembered; of more, those that were silent longest are forgotten. */
const mostCallers = 10_000;

/**
 * Limits how often a key, or an address without a good one, may ask. Health checks say `rateLimit: false` on their route.
 * A batch of tRPC counts once: it is limited in its own size.
 */
export async function limitRates(app: FastifyInstance, { perKey, perAddress }: RateLimits): Promise<void> {
  await app.register(rateLimit, {
    timeWindow: 60_000,
    cache: mostCallers,
    keyGenerator: callerOf,
    max: (request) => (request.asking?.caller === undefined ? perAddress : perKey),
    errorResponseBuilder: (_, { after }) =>
      new ControlPlaneError('RateLimited', `That was too often.`, `Ask again in ${after}.`),
  });
}

function callerOf({ asking, ip }: FastifyRequest): string {
  return asking?.caller === undefined ? `address ${normalizeIP(ip)}` : `key ${asking.keyId}`;
}
