/** A part of a statement. Text holds one character per byte, so that no encoding's characters can be taken for others. */
export interface SqlToken {
  kind: 'word' | 'name' | 'string' | 'number' | 'mark';
  /** A word in lower case, a quoted name without its quotes, a mark's one character; else as it stands. */
  text: string;
}

const whitespace = /(?:\s+|--[^\n\r]*)*/y;
const token =
  /([A-Za-z_\x80-\xff][\w$\x80-\xff]*)|"((?:[^"]|"")+)"|('(?:[^']|'')*')|(\d[\w.]*)|([^\w\s"'$\\\x80-\xff])/y;

/**
 * Takes a statement apart for looking at it. Undefined where something stands in it that DDL of pg_dump about indexes and
 * keys does not need: a dollar quote, a string with a backslash or a prefix, a comment in asterisks, a Unicode escape.
 */
export function tokensOf(sql: Buffer): SqlToken[] | undefined {
  const text = sql.toString('latin1');
  const tokens: SqlToken[] = [];
  for (let at = 0; ;) {
    whitespace.lastIndex = at;
    whitespace.exec(text);
    at = whitespace.lastIndex;
    if (at === text.length) return tokens;
    token.lastIndex = at;
    const [all, word, name, string, number, mark] = token.exec(text) ?? [];
    if (all === undefined || text.startsWith('/*', at)) return undefined;
    at += all.length;
    // E'…', B'…', U&"…" and the like: what is quoted does not mean what it says.
    if (word !== undefined && (text[at] === "'" || (text[at] === '&' && word.length === 1))) return undefined;
    if (string?.includes('\\') === true) return undefined;
    if (word !== undefined) tokens.push({ kind: 'word', text: foldCase(word) });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name.replaceAll('""', '"') });
    else if (string !== undefined) tokens.push({ kind: 'string', text: string });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number });
    else tokens.push({ kind: 'mark', text: mark ?? '' });
  }
}

/** As the server folds an unquoted name: ASCII alone. */
function foldCase(word: string): string {
  return word.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
