import { isPlainExpression, type ExpressionNames } from './plain-expression.ts';
import type { RelationName } from './relation-name.ts';
import { tokensOf, type SqlToken } from './sql-tokens.ts';
import { TokenCursor } from './token-cursor.ts';

/**
 * What an item of post-data does, as far as it decides when it may run.
 * - `index`: makes an index, primary key, unique or exclusion constraint out of one table's rows, and needs nothing else.
 * - `foreign-key`: looks into two tables, and locks both.
 * - `ordered`: everything else; it runs after all that stands before it in the dump, and alone.
 */
export type ItemWork =
  | {
      kind: 'index';
      table: RelationName;
      /** Access method: `btree`, `gin` … */
      method: string;
      /** CREATE INDEX lets others of its table be made at the same time (PostgreSQL docs, "Table-Level Locks": SHARE). */
      lock: 'share' | 'exclusive';
    }
  | { kind: 'foreign-key'; table: RelationName; references: RelationName }
  | { kind: 'ordered' };

type IndexWork = Extract<ItemWork, { kind: 'index' }>;

/** Longer DDL of an index or a key is nobody's. */
const textLimit = 64 * 1024;

const ordered: ItemWork = { kind: 'ordered' };

/**
 * Reads what pg_dump (`dumpIndex`, `dumpConstraint` in pg_dump.c) writes for one item: its statements, in their order and
 * without SETs. Whatever is not wholly understood is `ordered`.
 */
export function readItemWork(statements: readonly Buffer[], names: ExpressionNames): ItemWork {
  const [first, ...more] = statements;
  const cursor = first && cursorOf(first, names);
  if (!cursor) return ordered;
  const work = cursor.words('create') ? readIndex(cursor, names) : readConstraint(cursor, names);
  if (!work || more.length === 0) return work ?? ordered;
  // What may follow an index is about its table, and locks it.
  if (work.kind !== 'index' || !more.every((sql) => isAboutIndex(sql, work.table, names))) return ordered;
  return { ...work, lock: 'exclusive' };
}

function cursorOf(sql: Buffer, { clientEncoding }: ExpressionNames): TokenCursor | undefined {
  const tokens = sql.length > textLimit ? undefined : tokensOf(sql);
  return tokens && new TokenCursor(tokens, clientEncoding);
}

/** `CREATE [UNIQUE] INDEX name ON [ONLY] table USING method (…) …;`, after its first word. */
function readIndex(cursor: TokenCursor, names: ExpressionNames): IndexWork | undefined {
  cursor.words('unique');
  if (!cursor.words('index') || cursor.name() === undefined || !cursor.words('on')) return undefined;
  cursor.words('only');
  const table = cursor.relation();
  if (!table) return undefined;
  const method = readKeys(cursor, names);
  return method === undefined ? undefined : { kind: 'index', table, method, lock: 'share' };
}

/** `USING method (elements) …` up to the end of the statement; the method, where nothing of a user is called. */
function readKeys(cursor: TokenCursor, names: ExpressionNames): string | undefined {
  const method = cursor.words('using') ? cursor.name() : undefined;
  const elements = cursor.parenthesised();
  if (method === undefined || !elements) return undefined;
  if (!splitAtCommas(elements).every((element) => isPlainElement(element, names))) return undefined;
  const rest = cursor.rest();
  const whereAt = rest.findIndex(({ kind, text }) => kind === 'word' && text === 'where');
  const predicate = whereAt < 0 ? [] : rest.slice(whereAt + 1);
  return isPlainExpression(predicate, names) ? method : undefined;
}

/** A column, a call or an expression; then collation, operator class and order, which may be anyone's. */
function isPlainElement(element: readonly SqlToken[], names: ExpressionNames): boolean {
  const [first, second] = element;
  const isColumn = first?.kind === 'name' || first?.kind === 'word';
  const opensAt = first?.text === '(' && first.kind === 'mark' ? 0 : 1;
  if (isColumn && second?.text === '.') return false;
  if (element.some(({ kind, text }) => kind === 'word' && text === 'operator')) return false;
  if (isColumn && !(second?.kind === 'mark' && second.text === '(')) return true;
  const closesAt = closingOf(element, opensAt);
  return closesAt > 0 && isPlainExpression(element.slice(0, closesAt), names);
}

/** Where the parenthesis is closed that stands at `from`; -1 for nowhere. */
function closingOf(tokens: readonly SqlToken[], from: number): number {
  let depth = 0;
  for (let i = from; i < tokens.length; i++) {
    const { kind, text } = tokens[i] as SqlToken;
    if (kind !== 'mark') continue;
    if (text === '(') depth++;
    else if (text === ')' && --depth === 0) return i;
  }
  return -1;
}

function splitAtCommas(tokens: readonly SqlToken[]): SqlToken[][] {
  const parts: SqlToken[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (token.kind === 'mark' && token.text === '(') depth++;
    if (token.kind === 'mark' && token.text === ')') depth--;
    if (depth === 0 && token.kind === 'mark' && token.text === ',') parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return parts;
}

/** `ALTER TABLE [ONLY] table ADD CONSTRAINT name …;` */
function readConstraint(cursor: TokenCursor, names: ExpressionNames): ItemWork | undefined {
  if (!cursor.words('alter', 'table')) return undefined;
  cursor.words('only');
  const table = cursor.relation();
  if (!table || !cursor.words('add', 'constraint') || cursor.name() === undefined) return undefined;
  if (cursor.words('exclude')) {
    const method = readKeys(cursor, names);
    return method === undefined ? undefined : { kind: 'index', table, method, lock: 'exclusive' };
  }
  if (cursor.words('primary', 'key') || cursor.words('unique')) {
    return { kind: 'index', table, method: 'btree', lock: 'exclusive' };
  }
  if (!cursor.words('foreign', 'key') || !cursor.parenthesised() || !cursor.words('references')) return undefined;
  const references = cursor.relation();
  return references && { kind: 'foreign-key', table, references };
}

/**
 * What `dumpIndex` and `dumpConstraint` add to their statement: CLUSTER ON, REPLICA IDENTITY, statistics of an
 * expression, and what the index depends on.
 */
function isAboutIndex(sql: Buffer, table: RelationName, names: ExpressionNames): boolean {
  const cursor = cursorOf(sql, names);
  if (!cursor?.words('alter')) return false;
  if (cursor.words('table')) {
    cursor.words('only');
    const about = cursor.relation();
    if (about?.schema !== table.schema || about.name !== table.name) return false;
    return (
      (cursor.words('cluster', 'on') || cursor.words('replica', 'identity', 'using', 'index')) &&
      cursor.name() !== undefined &&
      cursor.ended
    );
  }
  if (!cursor.words('index') || !cursor.relation()) return false;
  return cursor.words('alter', 'column') || cursor.words('depends', 'on', 'extension');
}
