import { fastify, LogController, type FastifyInstance } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import type { AgentGateway } from '../agents/agent-gateway.ts';
import type { ApiParts } from '../api/context.ts';
import { mountAgentPaths } from './agent-paths.ts';
import { answerErrors, answerProblem } from './errors.ts';
import { mountFrontPage } from './front-page.ts';
import { mountHealth } from './health.ts';
import { mountMetrics } from './metrics.ts';
import { limitRates, type RateLimits } from './rate-limits.ts';
import { logRequests } from './request-log.ts';
import { mountRest } from './rest.ts';
import { mountRunEvents } from './run-events.ts';
import { setSecurityHeaders } from './security-headers.ts';
import { mountTrpc } from './trpc.ts';
import { knowCallers } from './who-asks.ts';

export interface AppOptions {
  parts: ApiParts;
  gateway: Pick<AgentGateway, 'attach' | 'close'>;
  log: Logger;
  /** PEM; left out: plain text. */
  tls?: { cert: string; key: string };
  trustedProxies: readonly string[];
  rateLimit: RateLimits;
}

/** What a request may hold. */
export const mostBodyBytes = 1024 * 1024;

/** A client that sends its request by drops is given up after this. */
const requestTimeoutMs = 60_000;

/**
 * Only WebSockets are upgrades: `curl --http2` and Java's client offer HTTP/2 by the same header with every request in
 * plain text, and are answered as if they had not (RFC 9110, 7.8).
 */
const agentsUpgrade = {
  shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === 'websocket',
};

/** Everything that answers on the one port, built and not listening yet: `listen` or `inject` is the caller's. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { parts, gateway, log, tls } = options;
  const app = fastify({
    loggerInstance: log,
    // Fastify's own lines say less than `request-log.ts`, and are twice as many.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    // What cannot even be routed.
    frameworkErrors: (error, request, reply) => void answerProblem(request, reply, error),
    ...(tls === undefined
      ? { http: agentsUpgrade }
      : { https: { ...tls, ...agentsUpgrade, minVersion: 'TLSv1.2' as const } }),
    bodyLimit: mostBodyBytes,
    requestTimeout: requestTimeoutMs,
    trustProxy: options.trustedProxies.length === 0 ? false : [...options.trustedProxies],
    // Idle connections end with the server; busy ones come to their end.
    forceCloseConnections: 'idle',
    // tRPC names every procedure of a batch in the path.
    routerOptions: { maxParamLength: 2000 },
  }) as unknown as FastifyInstance;

  setSecurityHeaders(app, { tls: tls !== undefined });
  logRequests(app);
  knowCallers(app, parts);
  await limitRates(app, options.rateLimit);
  answerErrors(app);
  readJson(app);
  mountHealth(app, parts, () => attached);
  mountFrontPage(app);
  mountMetrics(app, parts);
  mountRest(app, parts);
  mountRunEvents(app, parts);
  mountTrpc(app, parts);
  mountAgentPaths(app, parts.enrolment);

  let attached = false;
  gateway.attach(app.server);
  attached = true;
  // Before the server waits for its connections to end: these do not by themselves.
  app.addHook('preClose', async () => {
    attached = false;
    await gateway.close();
  });
  return app;
}

/** As Fastify does, but a body that is announced and empty is none: `curl -X POST -H 'Content-Type: application/json'`. */
function readJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined);
    else void parse(request, body as string, done);
  });
}
