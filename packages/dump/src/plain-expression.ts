import { decodeName } from './encoding.ts';
import { relationKey } from './relation-name.ts';
import type { SqlToken } from './sql-tokens.ts';

/** What can be known of names in an expression. */
export interface ExpressionNames {
  clientEncoding: string;
  /** Enums of the database, by `relationKey`. */
  enums: ReadonlySet<string>;
}

/**
 * Whether an expression calls nothing but what PostgreSQL brings itself. With an empty search_path pg_dump writes a schema
 * before everything else; casts to enums are harmless, since they look nowhere but into the catalog.
 */
export function isPlainExpression(tokens: readonly SqlToken[], { clientEncoding, enums }: ExpressionNames): boolean {
  return tokens.every(
    ({ kind, text }, i) => kind !== 'mark' || text !== '.' || isEnumCast(tokens, i, clientEncoding, enums),
  );
}

function isEnumCast(
  tokens: readonly SqlToken[],
  dotAt: number,
  clientEncoding: string,
  enums: ReadonlySet<string>,
): boolean {
  const [colon, another, schema, , name] = [-3, -2, -1, 0, 1].map((step) => tokens[dotAt + step]);
  if (colon?.text !== ':' || another?.text !== ':' || schema === undefined || name === undefined) return false;
  const decode = ({ text }: SqlToken): string => decodeName(Buffer.from(text, 'latin1'), clientEncoding);
  return enums.has(relationKey({ schema: decode(schema), name: decode(name) }));
}
