import type { PostDataItem } from './post-data.ts';
import { relationKey, type RelationName } from './relation-name.ts';
import { leadingTokensOf } from './sql-tokens.ts';
import { TokenCursor } from './token-cursor.ts';

/** Follows post-data from its beginning, and tells which tables its objects are about. */
export class ItemTables {
  readonly #clientEncoding: string;
  /** Tables by the names of their indexes, those of constraints among them. */
  readonly #tableOfIndex = new Map<string, RelationName>();

  constructor(clientEncoding: string) {
    this.#clientEncoding = clientEncoding;
  }

  /**
   * The tables without which an item cannot be made: its own, and for a foreign key that which it refers to. Undefined
   * for what is about no table, or about more than a statement's beginning tells.
   */
  of({ statements }: PostDataItem): RelationName[] | undefined {
    const [first] = statements;
    const cursor = first && new TokenCursor(leadingTokensOf(first.sql), this.#clientEncoding);
    if (!cursor) return undefined;
    if (cursor.words('alter', 'table')) return this.#ofTable(cursor);
    if (cursor.words('alter', 'index')) return this.#ofIndex(cursor);
    if (cursor.words('comment', 'on', 'index')) return this.#ofIndex(cursor);
    if (cursor.words('comment', 'on')) return tableAfter(cursor, 'on');
    if (!cursor.words('create')) return undefined;
    const unique = cursor.words('unique');
    if (cursor.words('index') || unique) return this.#newIndex(cursor);
    if (cursor.words('rule')) return tableAfter(cursor, 'to');
    if (cursor.words('policy') || cursor.words('trigger') || cursor.words('constraint', 'trigger')) {
      return tableAfter(cursor, 'on');
    }
    return cursor.words('statistics') ? tableAtEnd(cursor, 'from') : undefined;
  }

  #ofTable(cursor: TokenCursor): RelationName[] | undefined {
    cursor.words('only');
    const table = cursor.relation();
    if (!table) return undefined;
    if (!cursor.words('add', 'constraint')) return [table];
    const name = cursor.name();
    if (name !== undefined) this.#tableOfIndex.set(relationKey({ schema: table.schema, name }), table);
    if (!cursor.words('foreign', 'key')) return [table];
    const references = cursor.parenthesised() && cursor.words('references') ? cursor.relation() : undefined;
    return references && [table, references];
  }

  #ofIndex(cursor: TokenCursor): RelationName[] | undefined {
    const index = cursor.relation();
    const table = index && this.#tableOfIndex.get(relationKey(index));
    if (!table || !cursor.words('attach', 'partition')) return table && [table];
    const part = cursor.relation();
    const partition = part && this.#tableOfIndex.get(relationKey(part));
    return partition && [table, partition];
  }

  #newIndex(cursor: TokenCursor): RelationName[] | undefined {
    cursor.words('index');
    const name = cursor.name();
    if (name === undefined || !cursor.words('on')) return undefined;
    cursor.words('only');
    const table = cursor.relation();
    if (table) this.#tableOfIndex.set(relationKey({ schema: table.schema, name }), table);
    return table && [table];
  }
}

/** The first relation that follows this word. */
function tableAfter(cursor: TokenCursor, word: string): RelationName[] | undefined {
  while (cursor.skipTo(word)) {
    const table = cursor.relation();
    if (table) return [table];
  }
  return undefined;
}

/** The relation after this word with which a statement ends: expressions before it may hold the word too. */
function tableAtEnd(cursor: TokenCursor, word: string): RelationName[] | undefined {
  while (cursor.skipTo(word)) {
    const table = cursor.relation();
    if (table && cursor.ended) return [table];
  }
  return undefined;
}
