import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiContext, ApiParts } from '../api/context.ts';
import type { Rest } from '../api/guarded.ts';
import { apiRouter } from '../api/router.ts';
import { ControlPlaneError } from '../errors.ts';
import { openApiDocument } from './open-api.ts';
import { restPath, restProcedures } from './rest-procedures.ts';
import { contextOf } from './who-asks.ts';

/**
 * The REST face: a route for each procedure, which hands path, query and body on as its input. The library that describes
 * it has a handler too, whose answers know neither our statuses nor problem details.
 */
export function mountRest(app: FastifyInstance, parts: ApiParts): void {
  for (const { name, rest } of restProcedures()) {
    app.route({
      method: rest.method,
      url: restPath + rest.path.replaceAll(/\{(\w+)\}/g, ':$1'),
      handler: async (request, reply) => {
        const output = await callProcedure(name, inputOf(request, rest), contextOf(request, parts));
        const { runId } = { ...(request.params as object), ...(output as object) } as { runId?: string };
        request.runId = runId;
        return reply.code(rest.status ?? 200).send(output);
      },
    });
  }
  const document = JSON.stringify(openApiDocument());
  app.get(`${restPath}/openapi.json`, (_, reply) => reply.type('application/json').send(document));
}

/** Calls a procedure by its name, through its guard as any other caller. */
export async function callProcedure(name: string, input: unknown, context: ApiContext): Promise<unknown> {
  const [routerName = '', procedureName = ''] = name.split('.');
  const caller = apiRouter.createCaller(context) as unknown as Record<
    string,
    Record<string, (input: unknown) => Promise<unknown>>
  >;
  const call = caller[routerName]?.[procedureName];
  if (call === undefined) throw new Error(`no procedure ${name}`);
  return call(input);
}

function inputOf(request: FastifyRequest, { method }: Rest): object {
  const { body = {}, params, query } = request;
  if (method === 'GET') return { ...(query as object), ...(params as object) };
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return { ...body, ...(params as object) };
  throw new ControlPlaneError('InputInvalid', 'The body must be a JSON object.', 'Such as {}.');
}
