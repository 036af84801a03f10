import { describe, expect, it } from 'vitest';
import { knownKeys, type JsonSchema } from '@strideiq/configuration';
import { configurationJsonSchema } from './json-schema.ts';

function undescribed(schema: JsonSchema, path: string): string[] {
  const inner = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].flatMap((branch) => undescribed(branch, path));
  const { items, additionalProperties: others } = schema;
  return [
    ...inner,
    ...(items === undefined ? [] : undescribed(items, `${path}[]`)),
    ...(typeof others === 'object' ? undescribed(others, `${path}.*`) : []),
    ...Object.entries(schema.properties ?? {}).flatMap(([key, property]) => [
      ...(property.description === undefined ? [`${path}.${key}`] : []),
      ...undescribed(property, `${path}.${key}`),
    ]),
  ];
}

describe('configurationJsonSchema', () => {
  it('describes every key', () => {
    expect(undescribed(configurationJsonSchema(), '')).toEqual([]);
  });

  it('asks for what must be there and nothing that may be left out', () => {
    const schema = configurationJsonSchema();
    expect(schema['required']).toEqual(['version', 'environment', 'stores', 'databases']);
    const databases = schema.properties?.['databases']?.additionalProperties as JsonSchema;
    expect(databases['required']).toEqual(['stores']);
  });

  it('refuses unknown keys in every mapping, as the agent does', () => {
    expect(JSON.stringify(configurationJsonSchema())).not.toContain('"additionalProperties":true');
    expect(configurationJsonSchema().additionalProperties).toBe(false);
  });

  it('knows the keys of a place, by the type that stands there', () => {
    const schema = configurationJsonSchema();
    const value = { stores: { a: { type: 'directory' }, b: { type: 's3' } } };
    expect(knownKeys(schema, ['stores', 'a'], value)).toEqual(['type', 'path']);
    expect(knownKeys(schema, ['stores', 'b'], value)).toContain('bucket');
    expect(knownKeys(schema, ['databases', 'x', 'dump'], {})).toContain('compressionLevel');
    expect(knownKeys(schema, ['databases', 'x', 'stores', 0], {})).toEqual([]);
  });
});
