import { decodeName } from './encoding.ts';

/** A `COPY … FROM stdin;` as it introduces rows in text format. */
export interface CopyHeader {
  /** Undefined where neither the statement nor a comment before it names one. */
  schema?: string;
  name: string;
  /** Undefined where the statement lists none; pg_dump leaves the list out for a table without columns. */
  columns?: string[];
}

/** `odd`: rows follow, in a form other than pg_dump's. `none`: no rows follow (COPY TO, or from a file or program). */
export type CopyKind = CopyHeader | 'odd' | 'none';

const token = /\s*(?:"([^"]*(?:""[^"]*)*)"|([^\s"(),.;]+)|([(),.;]))/y;

/** A word or a quoted name has a `name`; a quoted one is no keyword. Text holds one character per byte. */
interface Token {
  name?: string;
  keyword?: string;
  mark?: string;
}

/** Byte by byte, so that no encoding's characters can be taken for quotes; undefined where something else stands. */
function tokensOf(latin1: string): Token[] | undefined {
  const tokens: Token[] = [];
  const text = latin1.trimEnd();
  for (token.lastIndex = 0; token.lastIndex < text.length;) {
    const [all, quoted, word, mark] = token.exec(text) ?? [];
    if (all === undefined) return undefined;
    if (quoted !== undefined) tokens.push({ name: quoted.replaceAll('""', '"') });
    else if (word !== undefined) tokens.push({ name: foldCase(word), keyword: foldCase(word) });
    else tokens.push({ mark: mark ?? '' });
  }
  return tokens;
}

/** As the server folds an unquoted name: ASCII alone. */
function foldCase(word: string): string {
  return word.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Reads a whole COPY statement, `;` included: `COPY [schema.]table [(column, …)] FROM stdin;` as pg_dump writes it. */
export function parseCopyHeader(statement: Buffer, clientEncoding: string): CopyKind {
  const tokens = tokensOf(statement.toString('latin1'));
  if (!tokens) return /stdin/i.test(statement.toString('latin1')) ? 'odd' : 'none';
  if (!tokens.some(({ keyword }) => keyword === 'stdin')) return 'none';
  const names = (from: number, to: number): string[] =>
    tokens
      .slice(from, to)
      .filter(({ name }) => name !== undefined)
      .map(({ name = '' }) => decodeName(Buffer.from(name, 'latin1'), clientEncoding));
  const tableEnd = tokens[2]?.mark === '.' ? 4 : 2;
  const table = names(1, tableEnd);
  const listEnd = tokens[tableEnd]?.mark === '(' ? tokens.findIndex(({ mark }) => mark === ')') + 1 : tableEnd;
  const rest = tokens.slice(listEnd).map(({ keyword, mark }) => keyword ?? mark);
  if (listEnd < tableEnd || table.length !== tableEnd / 2 || rest.join(' ') !== 'from stdin ;') return 'odd';
  const [schema, name] = table.length > 1 ? table : [undefined, table[0]];
  return {
    ...(schema === undefined ? {} : { schema }),
    name: name ?? '',
    ...(listEnd === tableEnd ? {} : { columns: names(tableEnd, listEnd) }),
  };
}

/** Schema and name of a qualified name as it stands in a literal (`public."a.b"`), or undefined where it is none. */
export function parseQualifiedName(
  latin1: string,
  clientEncoding: string,
): { schema?: string; name: string } | undefined {
  const header = parseCopyHeader(Buffer.from(`COPY ${latin1} FROM stdin;`, 'latin1'), clientEncoding);
  return typeof header === 'string' || header.columns ? undefined : header;
}
