import { notUnderstood } from './errors.ts';
import { byteClass, classes, endOfLine, inTag, inWord, isDigit, skip } from './sql-bytes.ts';

/** What the lexer is in the middle of. */
export type LexerState = 'sql' | 'quote' | 'escape-quote' | 'identifier' | 'dollar-quote' | 'comment' | 'line-comment';

/**
 * Finds the end of a SQL statement as psql does; the rules are those of PostgreSQL's `src/fe_utils/psqlscan.l`.
 *
 * Bytes may come in any pieces: `lex` says how far it came, and the caller hands in what was left together with what
 * follows. One difference is meant: a routine's body begins at `BEGIN ATOMIC`, where psql takes any `begin`, so that a
 * function of that name does not swallow the rest of the dump.
 */
export class SqlLexer {
  state: LexerState = 'sql';
  /** The statement's `;` was met; `reset` begins the next one. */
  ended = false;
  /** First word of the statement in lower case; empty where it is no short unquoted word. */
  firstWord = '';

  private standardStrings = true;
  private words = 0;
  /** First letters of the leading words that matter, as psqlscan.l keeps them: `cf` is CREATE FUNCTION. */
  private prefix = '';
  private routine = false;
  private lastWasBegin = false;
  private bodyDepth = 0;
  private parentheses = 0;
  private commentDepth = 0;
  private tag: Buffer = Buffer.alloc(0);

  /**
   * Begins a statement.
   * @param standardStrings `standard_conforming_strings`: whether a backslash in '…' is just a backslash
   */
  reset(standardStrings: boolean): void {
    this.standardStrings = standardStrings;
    this.state = 'sql';
    this.ended = false;
    this.firstWord = '';
    this.words = 0;
    this.prefix = '';
    this.routine = false;
    this.lastWasBegin = false;
    this.bodyDepth = 0;
    this.parentheses = 0;
  }

  /** Begins a comment; the caller has seen its first two bytes. */
  openComment(): void {
    this.state = 'comment';
    this.commentDepth = 1;
  }

  /**
   * Goes on from byte `at`, up to just past the statement's `;` (then `ended` is true), or as far as can be told. What is
   * left, never much, needs bytes that have not come yet.
   * @param final no more bytes will come
   * @param base where in the stream the bytes begin, for errors
   */
  lex(b: Buffer, at: number, final: boolean, base: number): number {
    for (let i = at; ;) {
      const before = this.state;
      const next = this.step(b, i, final, base);
      if (this.ended || next >= b.length || (next === i && this.state === before)) return next;
      i = next;
    }
  }

  private step(b: Buffer, i: number, final: boolean, base: number): number {
    switch (this.state) {
      case 'sql':
        return this.sql(b, i, final, base);
      case 'quote':
        return this.quoted(b, i, final, 0x27);
      case 'identifier':
        return this.quoted(b, i, final, 0x22);
      case 'escape-quote':
        return this.escapeQuoted(b, i, final);
      case 'dollar-quote':
        return this.dollarQuoted(b, i, final);
      case 'comment':
        return this.comment(b, i, final);
      case 'line-comment':
      default:
        return this.lineComment(b, i);
    }
  }

  /** Outside of quotes and comments: until a state is entered, the statement ends, or a token is not whole yet. */
  private sql(b: Buffer, start: number, final: boolean, base: number): number {
    const end = b.length;
    let i = start;
    while (i < end) {
      switch (classes[b[i] as number] as number) {
        case byteClass.word: {
          const next = this.word(b, i, final);
          if (next === i || this.state !== 'sql') return next;
          i = next;
          continue;
        }
        case byteClass.digit: {
          // A number swallows letters that follow it at once (`integer_junk`), but they are no identifier.
          let next = skip(b, i, isDigit);
          if (next < end && classes[b[next] as number] === byteClass.word) next = skip(b, next, inWord);
          if (next === end && !final) return i;
          i = next;
          continue;
        }
        case byteClass.open:
          this.parentheses++;
          i++;
          continue;
        case byteClass.close:
          if (this.parentheses > 0) this.parentheses--;
          i++;
          continue;
        case byteClass.semicolon:
          i++;
          if (this.parentheses > 0 || this.bodyDepth > 0) continue;
          this.ended = true;
          return i;
        case byteClass.quote:
          this.state = this.standardStrings ? 'quote' : 'escape-quote';
          return i + 1;
        case byteClass.doubleQuote:
          this.state = 'identifier';
          this.lastWasBegin = false;
          return i + 1;
        case byteClass.backslash:
          throw notUnderstood('A backslash stands inside a statement', base + i);
        case byteClass.dollar:
        case byteClass.dash:
        case byteClass.slash: {
          const next = this.dollarOrComment(b, i, final);
          if (next === i || this.state !== 'sql') return next;
          i = next;
          continue;
        }
        default:
          // `begin.atomic` is a name, wherever its parts stand.
          if (b[i] === 0x2e) this.lastWasBegin = false;
          i++;
      }
    }
    return i;
  }

  /** At `$`, `-` or `/`. */
  private dollarOrComment(b: Buffer, i: number, final: boolean): number {
    if (i + 1 === b.length) return final ? i + 1 : i;
    const kind = classes[b[i] as number];
    if (kind === byteClass.dollar) return this.dollar(b, i, final);
    if (kind === byteClass.dash && b[i + 1] === 0x2d) {
      this.state = 'line-comment';
      return i + 2;
    }
    if (kind === byteClass.slash && b[i + 1] === 0x2a) {
      this.openComment();
      return i + 2;
    }
    return i + 1;
  }

  /** At a `$` that is no part of an identifier: a quote's opening tag, a parameter, or a stray one. */
  private dollar(b: Buffer, i: number, final: boolean): number {
    if (classes[b[i + 1] as number] === byteClass.digit) return i + 1;
    const end = skip(b, i + 1, inTag);
    if (end === b.length && !final) return i;
    if (b[end] !== 0x24) return i + 1;
    this.tag = Buffer.from(b.subarray(i, end + 1));
    this.state = 'dollar-quote';
    return end + 1;
  }

  private word(b: Buffer, i: number, final: boolean): number {
    const end = skip(b, i, inWord);
    // A one-letter word may be the prefix of a quote, which takes up to two more bytes to see.
    if (!final && end + (end - i === 1 ? 2 : 0) >= b.length) return i;
    if (end - i === 1) {
      const prefixed = this.prefixedQuote(b, i, end);
      if (prefixed > end) return prefixed;
    }
    if (this.words < 4 || this.routine) this.note(b, i, end);
    this.words++;
    return end;
  }

  /** E'…', B'…', X'…', U&'…' and U&"…"; N'…' is as plain '…'. Returns `end` where no such quote begins. */
  private prefixedQuote(b: Buffer, i: number, end: number): number {
    const letter = (b[i] as number) | 0x20;
    if (b[end] === 0x27) {
      if (letter === 0x65) this.state = 'escape-quote';
      else if (letter === 0x62 || letter === 0x78) this.state = 'quote';
      else return end;
      return end + 1;
    }
    if (letter !== 0x75 || b[end] !== 0x26) return end;
    if (b[end + 1] === 0x27) this.state = 'quote';
    else if (b[end + 1] === 0x22) this.state = 'identifier';
    else return end;
    return end + 2;
  }

  /** Follows CREATE [OR REPLACE] {FUNCTION | PROCEDURE} … BEGIN ATOMIC … END, where semicolons end no statement. */
  private note(b: Buffer, i: number, end: number): void {
    const name = end - i > 24 ? '' : b.toString('latin1', i, end).toLowerCase();
    if (this.words === 0) this.firstWord = name;
    if (this.words < 4) {
      this.prefix += /^(?:create|or|replace|function|procedure)$/.test(name) ? name[0] : '-';
      this.routine ||= /^c(?:or)?[fp]$/.test(this.prefix);
    }
    if (!this.routine || this.parentheses > 0) return;
    if (this.bodyDepth === 0) {
      if (name === 'atomic' && this.lastWasBegin) this.bodyDepth = 1;
    } else if (name === 'case') this.bodyDepth++;
    else if (name === 'end') this.bodyDepth--;
    this.lastWasBegin = name === 'begin';
  }

  /** '…' or "…", in which only a doubled quote stands for itself. */
  private quoted(b: Buffer, i: number, final: boolean, mark: number): number {
    const at = b.indexOf(mark, i);
    if (at < 0) return b.length;
    return this.closeQuote(b, at, final, mark);
  }

  /** At a quote inside a quote: doubled, it is part of it. */
  private closeQuote(b: Buffer, at: number, final: boolean, mark: number): number {
    if (b[at + 1] === mark) return at + 2;
    if (at + 1 === b.length && !final) return at;
    this.state = 'sql';
    return at + 1;
  }

  /** E'…', in which a backslash takes what follows it along. */
  private escapeQuoted(b: Buffer, start: number, final: boolean): number {
    for (let i = start; i < b.length;) {
      const c = b[i];
      if (c === 0x5c) {
        if (i + 1 === b.length) return final ? i + 1 : i;
        i += 2;
      } else if (c === 0x27) {
        const next = this.closeQuote(b, i, final, 0x27);
        if (next === i || this.state === 'sql') return next;
        i = next;
      } else i++;
    }
    return b.length;
  }

  private dollarQuoted(b: Buffer, i: number, final: boolean): number {
    const at = b.indexOf(this.tag, i);
    if (at < 0) return final ? b.length : Math.max(i, b.length - this.tag.length + 1);
    this.state = 'sql';
    return at + this.tag.length;
  }

  /** On through a comment, which may hold others; `state` tells whether it has ended. */
  comment(b: Buffer, start: number, final: boolean): number {
    for (let i = start; i < b.length;) {
      const c = b[i];
      if (c !== 0x2a && c !== 0x2f) i++;
      else if (i + 1 === b.length) return final ? i + 1 : i;
      else if (c === 0x2f && b[i + 1] === 0x2a) {
        this.commentDepth++;
        i += 2;
      } else if (c === 0x2a && b[i + 1] === 0x2f) {
        i += 2;
        if (--this.commentDepth > 0) continue;
        this.state = 'sql';
        return i;
      } else i++;
    }
    return b.length;
  }

  private lineComment(b: Buffer, i: number): number {
    const end = endOfLine(b, i);
    if (end < 0) return b.length;
    this.state = 'sql';
    return end;
  }
}
