/** A part of a statement. Text holds one character per byte, so that no encoding's characters can be taken for others. */
export interface SqlToken {
  kind: 'word' | 'name' | 'string' | 'number' | 'mark';
  /** A word in lower case, a quoted name without its quotes, a mark's one character; else as it stands. */
  text: string;
}

const whitespace = /(?:\s+|--[^\n\r]*)*/y;
const pattern =
  /([A-Za-z_\x80-\xff][\w$\x80-\xff]*)|"((?:[^"]|"")+)"|('(?:[^']|'')*')|(\d[\w.]*)|([^\w\s"'$\\\x80-\xff])/y;

/**
 * Takes a statement apart for looking at it. Undefined where something stands in it that DDL of pg_dump about indexes and
 * keys does not need: a dollar quote, a string with a backslash or a prefix, a comment in asterisks, a Unicode escape.
 */
export function tokensOf(sql: Buffer): SqlToken[] | undefined {
  const text = sql.toString('latin1');
  const tokens: SqlToken[] = [];
  for (let at = 0; ;) {
    const found = tokenAt(text, at);
    if (found === 'end') return tokens;
    if (found === undefined) return undefined;
    tokens.push(found.token);
    at = found.end;
  }
}

/** The same up to the first place that is not understood. */
export function leadingTokensOf(sql: Buffer): SqlToken[] {
  const text = sql.toString('latin1');
  const tokens: SqlToken[] = [];
  for (let at = 0; ;) {
    const found = tokenAt(text, at);
    if (found === undefined || found === 'end') return tokens;
    tokens.push(found.token);
    at = found.end;
  }
}

function tokenAt(text: string, from: number): { token: SqlToken; end: number } | 'end' | undefined {
  whitespace.lastIndex = from;
  whitespace.exec(text);
  const at = whitespace.lastIndex;
  if (at === text.length) return 'end';
  pattern.lastIndex = at;
  const [all, word, name, string, number, mark] = pattern.exec(text) ?? [];
  if (all === undefined || text.startsWith('/*', at)) return undefined;
  const end = at + all.length;
  // E'…', B'…', U&"…" and the like: what is quoted does not mean what it says.
  if (word !== undefined && (text[end] === "'" || (text[end] === '&' && word.length === 1))) return undefined;
  if (string?.includes('\\') === true) return undefined;
  if (word !== undefined) return { token: { kind: 'word', text: foldCase(word) }, end };
  if (name !== undefined) return { token: { kind: 'name', text: name.replaceAll('""', '"') }, end };
  if (string !== undefined) return { token: { kind: 'string', text: string }, end };
  if (number !== undefined) return { token: { kind: 'number', text: number }, end };
  return { token: { kind: 'mark', text: mark ?? '' }, end };
}

/** As the server folds an unquoted name: ASCII alone. */
function foldCase(word: string): string {
  return word.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
