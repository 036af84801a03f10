import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { ApiParts } from '../api/context.ts';
import { collectMetrics, type Reach } from '../metrics/collect-metrics.ts';
import { callProcedure } from './rest.ts';
import { contextOf } from './who-asks.ts';

/**
 * `/metrics` in the text format of Prometheus. Names of databases are nobody's business: it wants a key, of a viewer at least
 * (`authorization` in a scrape configuration), and tells of the environments of that key; one for all hears of this program too.
 */
export function mountMetrics(app: FastifyInstance, parts: ApiParts): void {
  const own = new Registry();
  collectDefaultMetrics({ register: own });
  app.addHook('onClose', async () => own.clear());
  app.get('/metrics', async (request, reply) => {
    const { environments } = (await callProcedure('system.whoami', {}, contextOf(request, parts))) as {
      environments: Reach;
    };
    const metrics = await collectMetrics(parts, environments, parts.now());
    const registry = environments === null ? Registry.merge([own, metrics]) : metrics;
    return reply.type(registry.contentType).send(await registry.metrics());
  });
}
