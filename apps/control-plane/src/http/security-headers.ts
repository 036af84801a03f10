import type { FastifyInstance } from 'fastify';

/** For everything that is no page: nothing of it is meant to be rendered, framed or kept. */
const forData = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

const yearSeconds = 365 * 24 * 60 * 60;

/** Headers of every answer; a route that serves a page sets its own policy over them. */
export function setSecurityHeaders(app: FastifyInstance, { tls }: { tls: boolean }): void {
  const headers = tls ? { ...forData, 'strict-transport-security': `max-age=${yearSeconds}` } : forData;
  app.addHook('onRequest', async (_, reply) => {
    reply.headers(headers);
  });
}
