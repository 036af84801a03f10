import { describe, expect, test } from 'vitest';
import { statusOfCode, type ControlPlaneErrorCode } from '../errors.ts';
import { startControlPlane } from '../testing/control-plane.ts';
import { openApiDocument } from './open-api.ts';
import { restProcedures } from './rest-procedures.ts';

type Json = Record<string, unknown>;
interface Operation {
  operationId: string;
  summary: string;
  description: string;
  tags: string[];
  security: Record<string, string[]>[];
  parameters: { in: string; name: string; required?: boolean; schema: Json }[];
  requestBody?: { required: boolean; content: Record<string, { schema: Json }> };
  responses: Record<string, { description: string; content: Record<string, { schema: Json }> }>;
}

const document = JSON.parse(JSON.stringify(openApiDocument())) as {
  openapi: string;
  info: Json;
  servers: { url: string }[];
  tags: { name: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Json>; securitySchemes: Record<string, Json> };
};
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
);

/** Everything below a value, itself too. */
function* within(value: unknown): Generator<Json> {
  if (value === null || typeof value !== 'object') return;
  if (!Array.isArray(value)) yield value as Json;
  for (const each of Object.values(value)) yield* within(each);
}

describe('the description of the API', () => {
  test('is OpenAPI 3.1 with what every document must have (OpenAPI 3.1, 4.8)', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d$/);
    expect(document.info).toMatchObject({ title: expect.any(String) as string, version: '0.1.0' });
    expect(document.servers).toEqual([{ url: '/api/v1' }]);
    expect(document.components.securitySchemes).toEqual({
      apiKey: expect.objectContaining({ type: 'http', scheme: 'bearer' }) as Json,
    });
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('is what the server answers at /api/v1/openapi.json, without a key', async () => {
    const server = await startControlPlane();
    try {
      const { status, body } = await server.rest('GET', '/openapi.json', { key: null });
      expect(status).toBe(200);
      expect(body).toEqual(document);
    } finally {
      await server.stop();
    }
  });

  test('knows every procedure and the stream, and nothing else', () => {
    const told = operations.map(({ path, method }) => `${method} ${path}`).sort();
    const there = restProcedures().map(({ rest }) => `${rest.method} ${rest.path}`);
    expect(told).toEqual([...there, 'GET /runs/{runId}/events'].sort());
  });

  test('refers to nothing that is not there', () => {
    for (const { $ref } of within(document)) {
      if (typeof $ref !== 'string') continue;
      expect($ref).toMatch(/^#\/components\/schemas\//);
      expect(document.components.schemas).toHaveProperty([$ref.replace('#/components/schemas/', '')]);
    }
  });

  test.each(operations.map((each) => [`${each.method} ${each.path}`, each] as const))(
    '%s',
    (_, { path, method, operation }) => {
      expect(operation.summary).toMatch(/\S/);
      expect(operation.description).toMatch(/^Needs the role `(viewer|operator|admin)`/);
      expect(document.tags.map(({ name }) => name)).toEqual(expect.arrayContaining(operation.tags));
      expect(operation.security).toEqual([{ apiKey: [] }]);
      // Every part of the path is a parameter, and the other way round.
      const inPath = operation.parameters.filter((each) => each.in === 'path');
      expect(inPath.map(({ name }) => name).sort()).toEqual(
        [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name).sort(),
      );
      expect(inPath.every(({ required }) => required === true)).toBe(true);
      expect(method === 'GET' && operation.requestBody !== undefined).toBe(false);
      const statuses = Object.keys(operation.responses);
      expect(statuses.filter((status) => status.startsWith('2'))).toHaveLength(1);
      expect(statuses).toEqual(expect.arrayContaining(['400', '401', '403', '429', '500']));
      for (const [status, { description, content }] of Object.entries(operation.responses)) {
        if (status.startsWith('2')) continue;
        expect(content).toEqual({ 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } });
        // Each code stands at its own status.
        const codes = [...description.matchAll(/`(\w+)`/g)].map(([, code]) => code as ControlPlaneErrorCode);
        expect(codes.length).toBeGreaterThan(0);
        for (const code of codes) expect(statusOfCode[code]).toBe(Number(status));
      }
    },
  );

  test('what starts work answers 202 with the run, and takes an Idempotency-Key', () => {
    const starting = operations.filter(({ operation }) => '202' in operation.responses);
    expect(starting.map(({ path }) => path).sort()).toEqual([
      '/backups',
      '/backups/{backupId}/verify',
      '/drills',
      '/restores',
      '/runs/{runId}/cancel',
      '/uploads/restore',
    ]);
    for (const { path, operation } of starting) {
      expect(operation.responses['202']?.content['application/json']?.schema).toEqual({
        $ref: '#/components/schemas/Started',
      });
      const headers = operation.parameters.filter((each) => each.in === 'header').map(({ name }) => name);
      expect({ path, headers }).toEqual({ path, headers: path.endsWith('cancel') ? [] : ['Idempotency-Key'] });
    }
  });

  test('lists take cursor and limit, and answer items and nextCursor', () => {
    const lists = restProcedures().filter(({ name }) => /\.(list|log)$/.test(name));
    expect(lists.length).toBeGreaterThan(7);
    for (const { rest } of lists) {
      const operation = document.paths[rest.path]?.['get'];
      expect(operation?.parameters.map(({ name }) => name)).toEqual(expect.arrayContaining(['cursor', 'limit']));
      const schema = operation?.responses['200']?.content['application/json']?.schema as { properties: Json };
      expect(Object.keys(schema.properties)).toEqual(['items', 'nextCursor']);
    }
  });

  test('answers may grow, requests may not be misspelt', () => {
    for (const schema of Object.values(document.components.schemas)) {
      for (const each of within(schema)) expect(each['additionalProperties']).not.toBe(false);
    }
    const body = document.paths['/keys']?.['post']?.requestBody?.content['application/json']?.schema;
    expect(body).toMatchObject({ additionalProperties: false, required: ['name', 'role', 'environments'] });
  });
});
