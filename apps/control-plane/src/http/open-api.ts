import { generateOpenApiDocument, type OpenAPIObject } from 'trpc-to-openapi';
import type { ApiMeta, Rest } from '../api/guarded.ts';
import { problemSchema } from '../api/problem.ts';
import { apiRouter } from '../api/router.ts';
import { runSchema } from '../api/run-view.ts';
import { statusOfCode, type ControlPlaneErrorCode } from '../errors.ts';
import { controlPlaneVersion } from '../version.ts';
import { restPath, restProcedures, runEventsPath } from './rest-procedures.ts';

type Operation = NonNullable<NonNullable<OpenAPIObject['paths']>[string]['get']>;
type Responses = NonNullable<Operation['responses']>;
type Schema = Record<string, unknown>;

const description = `Everything that can be asked of the StrideIQ control plane.

Moments are ISO 8601 in UTC. Lists are newest first and answer \`{"items", "nextCursor"}\`. What starts work answers 202 with
the run, which \`GET /runs/{runId}\` then shows; sent with an \`Idempotency-Key\` it can be sent again without harm. Failures are
problem details (RFC 9457) with a stable \`code\`. Answers may grow new keys: pass over those that you do not know.`;

/** What every procedure may be refused with. */
const usualErrors = [
  'InputInvalid',
  'KeyMissing',
  'KeyInvalid',
  'RoleTooLow',
  'EnvironmentNotAllowed',
  'RateLimited',
  'Unexpected',
] as const satisfies ControlPlaneErrorCode[];

/** The REST face, as OpenAPI 3.1 tells it, from the procedures themselves. */
export function openApiDocument(): OpenAPIObject {
  const document = generateOpenApiDocument(apiRouter as unknown as Parameters<typeof generateOpenApiDocument>[0], {
    title: 'StrideIQ Backup',
    description,
    version: controlPlaneVersion,
    openApiVersion: '3.1.0',
    baseUrl: restPath,
    tags: [...new Set(restProcedures().map(({ rest }) => tagOf(rest)))],
    securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'An API key: siq_…' } },
    defs: { Problem: problemSchema, Run: runSchema },
  });
  for (const { meta, rest } of restProcedures()) {
    const operation = operationOf(document, rest);
    operation.description = needsOf(meta);
    operation.responses = { ...successOf(operation, rest), ...problemsOf(rest, meta) };
  }
  document.paths = { ...document.paths, [runEventsPath]: { get: followOperation(document) } };
  simplify(document.components, document.paths);
  return document;
}

export function tagOf({ path }: Rest): string {
  return path.split('/')[1] ?? '';
}

function operationOf(document: OpenAPIObject, { method, path }: Rest): Operation {
  const found = document.paths?.[path]?.[method.toLowerCase() as 'get'];
  if (found === undefined) throw new Error(`${method} ${path} is not described`);
  return found;
}

function needsOf({ guard: { role, scope } }: ApiMeta): string {
  const where = {
    listed: 'Shows what belongs to the environments of the key.',
    system: 'The key must be for all environments.',
    resource: 'The key must be for the environment of what it is about.',
  };
  return `Needs the role \`${role}\`. ${where[scope]}`;
}

/** The library knows no success but 200. */
function successOf({ responses }: Operation, { status = 200 }: Rest): Responses {
  const words = { 200: 'Done', 201: 'Made', 202: 'Taken on; the run tells the rest' };
  return { [status]: { ...(responses?.['200'] as object), description: words[status] } };
}

/** By status, with the codes that each may carry. */
function problemsOf({ method, errors = [] }: Rest, { guard }: ApiMeta): Responses {
  const codes: ControlPlaneErrorCode[] = [
    ...usualErrors,
    ...(guard.scope === 'resource' ? (['NotFound'] as const) : []),
    ...(method === 'POST' ? (['TooLarge'] as const) : []),
    ...errors,
  ];
  const byStatus = Map.groupBy(new Set(codes), (code) => statusOfCode[code]);
  return Object.fromEntries(
    [...byStatus].map(([status, found]) => [
      String(status),
      {
        description: found.map((code) => `\`${code}\``).join(', '),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
}

/** The stream that stands beside the procedures: as `runs.get`, but going on. */
function followOperation(document: OpenAPIObject): Operation {
  const get = restProcedures().find(({ name }) => name === 'runs.get');
  if (get === undefined) throw new Error('runs.get is not described');
  return {
    ...operationOf(document, get.rest),
    operationId: 'runs-events',
    summary: 'One run as it happens, by server-sent events',
    responses: {
      '200': {
        description:
          'Events `run`, each with the run as JSON, at once and at each change; then `end`. Comments in between keep the connection open.',
        content: { 'text/event-stream': { schema: { type: 'string' } } },
      },
      ...problemsOf(get.rest, get.meta),
    },
  };
}

/**
 * Takes out what says more than is meant: an answer may grow keys, and `date-time` is enough beside a pattern of three
 * lines.
 */
function simplify(...parts: unknown[]): void {
  for (const part of parts) {
    if (part === null || typeof part !== 'object') continue;
    const schema = part as Schema;
    if (schema['format'] === 'date-time') delete schema['pattern'];
    if (schema['additionalProperties'] === false) delete schema['additionalProperties'];
    simplify(...Object.entries(schema).flatMap(([key, value]) => (key === 'requestBody' ? [] : [value])));
  }
}
