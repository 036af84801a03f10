/** A relation by its name, unquoted. */
export interface RelationName {
  schema: string;
  name: string;
}

/** One text per relation, to look it up by. */
export function relationKey({ schema, name }: RelationName): string {
  return JSON.stringify([schema, name]);
}
