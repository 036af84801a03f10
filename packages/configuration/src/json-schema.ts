import { z } from 'zod';

/** As much of JSON Schema as is read here. */
export interface JsonSchema {
  description?: string;
  const?: unknown;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  [keyword: string]: unknown;
}

/** JSON Schema (draft 2020-12) of a file as people write it, for editors. */
export function jsonSchemaOf(schema: z.ZodType, title: string): JsonSchema {
  return { ...(z.toJSONSchema(schema, { io: 'input' }) as JsonSchema), title };
}

/**
 * Keys that may stand in the mapping at `path`.
 * @param value the document as read, which tells a directory store from an S3 store
 */
export function knownKeys(schema: JsonSchema, path: readonly PropertyKey[], value: unknown): string[] {
  const [step, ...rest] = path;
  return branchesOf(schema, value).flatMap((branch) => {
    if (step === undefined) return Object.keys(branch.properties ?? {});
    const next =
      typeof step === 'number'
        ? branch.items
        : (branch.properties?.[String(step)] ??
          (typeof branch.additionalProperties === 'object' ? branch.additionalProperties : undefined));
    const inner =
      value !== null && typeof value === 'object' ? (value as Record<PropertyKey, unknown>)[step] : undefined;
    return next === undefined ? [] : knownKeys(next, rest, inner);
  });
}

function branchesOf(schema: JsonSchema, value: unknown): JsonSchema[] {
  const type = value !== null && typeof value === 'object' ? (value as { type?: unknown }).type : undefined;
  const branches = schema.anyOf ?? schema.oneOf ?? [schema];
  return branches.filter(
    ({ properties }) => properties?.['type']?.const === undefined || properties['type'].const === type,
  );
}
