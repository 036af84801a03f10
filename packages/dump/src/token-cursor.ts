import { decodeName } from './encoding.ts';
import type { RelationName } from './relation-name.ts';
import type { SqlToken } from './sql-tokens.ts';

/** Goes through the tokens of a statement; whatever is asked for and not there leaves it where it is. */
export class TokenCursor {
  private readonly tokens: readonly SqlToken[];
  private readonly clientEncoding: string;
  private at = 0;

  constructor(tokens: readonly SqlToken[], clientEncoding: string) {
    this.tokens = tokens;
    this.clientEncoding = clientEncoding;
  }

  /** Takes these unquoted words, all or none. */
  words(...words: string[]): boolean {
    const all = words.every((word, i) => {
      const token = this.tokens[this.at + i];
      return token?.kind === 'word' && token.text === word;
    });
    if (all) this.at += words.length;
    return all;
  }

  mark(mark: string): boolean {
    const token = this.tokens[this.at];
    if (token?.kind !== 'mark' || token.text !== mark) return false;
    this.at++;
    return true;
  }

  /** Takes one name, quoted or not. */
  name(): string | undefined {
    const token = this.tokens[this.at];
    if (token?.kind !== 'word' && token?.kind !== 'name') return undefined;
    this.at++;
    return decodeName(Buffer.from(token.text, 'latin1'), this.clientEncoding);
  }

  /** Takes `schema.name`; a name without its schema is none here, since what it means depends on search_path. */
  relation(): RelationName | undefined {
    const before = this.at;
    const schema = this.name();
    const name = schema !== undefined && this.mark('.') ? this.name() : undefined;
    if (schema !== undefined && name !== undefined) return { schema, name };
    this.at = before;
    return undefined;
  }

  /** Takes a list in parentheses; its tokens without them. */
  parenthesised(): SqlToken[] | undefined {
    if (!this.mark('(')) return undefined;
    const from = this.at;
    for (let depth = 1; this.at < this.tokens.length;) {
      if (this.mark('(')) depth++;
      else if (this.mark(')')) depth--;
      else this.at++;
      if (depth === 0) return this.tokens.slice(from, this.at - 1);
    }
    return undefined;
  }

  /** Goes on to just behind the next unquoted word of this text; stays where there is none. */
  skipTo(word: string): boolean {
    const at = this.tokens.findIndex(({ kind, text }, i) => i >= this.at && kind === 'word' && text === word);
    if (at < 0) return false;
    this.at = at + 1;
    return true;
  }

  /** All that is left, but for the `;` that ends it. */
  rest(): SqlToken[] {
    const left = this.tokens.slice(this.at);
    this.at = this.tokens.length;
    return left.at(-1)?.text === ';' ? left.slice(0, -1) : left;
  }

  /** Nothing is left but the `;`. */
  get ended(): boolean {
    const token = this.tokens[this.at];
    return token?.kind === 'mark' && token.text === ';' && this.at === this.tokens.length - 1;
  }
}
