import type { Connection } from './connect.ts';

/** A pg_dump pattern as two regular expressions of PostgreSQL's; without a schema part it means every schema. */
interface PatternExpressions {
  schema: string | null;
  name: string;
}

/**
 * The rules of psql's patterns (psql, "Patterns"; string_utils.c, processSQLNamePattern): `*` and `?` are wildcards, a
 * dot parts schema and name, double quotes keep everything as it is, and anything else is a regular expression.
 */
export function patternExpressions(pattern: string): PatternExpressions {
  const parts = [''];
  const add = (text: string) => parts.push((parts.pop() ?? '') + text);
  let quoted = false;
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === '"') {
      if (quoted && pattern[at + 1] === '"') {
        add('"');
        at++;
      } else quoted = !quoted;
    } else if (!quoted && char === '*') add('.*');
    else if (!quoted && char === '?') add('.');
    else if (!quoted && char === '.') parts.push('');
    else if (char === '$' || (quoted && /[|*+?()[\]{}.^\\]/.test(char))) add(`\\${char}`);
    else add(quoted ? char : char.toLowerCase());
  }
  const name = parts.pop() ?? '';
  const schema = parts.pop();
  return { schema: schema === undefined ? null : `^(${schema})$`, name: `^(${name})$` };
}

/** Object ids of the tables, views and sequences that `pg_dump --exclude-table` would leave out for these patterns. */
export async function matchingTables(connection: Connection, patterns: readonly string[]): Promise<number[]> {
  if (patterns.length === 0) return [];
  const expressions = patterns.map(patternExpressions);
  const { rows } = await connection.query<{ oid: number }>(
    `SELECT DISTINCT c.oid::int8::float8 AS oid
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
            unnest($1::text[], $2::text[]) AS p(schema, name)
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relname ~ p.name
        AND (p.schema IS NULL OR n.nspname ~ p.schema)`,
    [expressions.map((each) => each.schema), expressions.map((each) => each.name)],
  );
  return rows.map((row) => row.oid);
}
