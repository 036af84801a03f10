import type { Section } from '@strideiq/core';
import { passCopyData } from './copy-data.ts';
import { parseCopyHeader, type CopyHeader } from './copy-header.ts';
import { countNewlines } from './count-newlines.ts';
import { DumpComments } from './dump-comments.ts';
import { isConnect, metaCommandRefused, notUnderstood, truncated } from './errors.ts';
import { SessionSettings } from './session-settings.ts';
import type { ScanSettings, Span } from './spans.ts';
import { endOfLine } from './sql-bytes.ts';
import { SqlLexer } from './sql-lexer.ts';
import { StatementText } from './statement-text.ts';
import type { TocItem } from './toc.ts';

type Mode = 'gap' | 'gap-comment' | 'gap-line' | 'statement' | 'copy-line' | 'rows' | 'meta';

/** Longer comment lines are no TOC items; longer words, tags and psql commands are no dump's. */
const lineLimit = 64 * 1024;
const tokenLimit = 1024 * 1024;
const textLimit = 4 * 1024;
const copyTextLimit = 1024 * 1024;

/** Where a scanner begins that does not begin with the dump. */
export interface ScannerOptions {
  /** As in force there. */
  settings?: ScanSettings | undefined;
  section?: Section | undefined;
  /** `pg_dump --create` writes a `\connect`, which is passed over where the output is only looked at. */
  connectAllowed?: boolean | undefined;
}

const dumpSettings: ScanSettings = { standardStrings: true, clientEncoding: 'UTF8' };

/**
 * Takes a plain dump apart, as psql would, whatever the pieces in which it comes. `feed` a piece, take spans from `next`
 * until it has none, feed the next piece; at the end, `end` and take the rest. Spans are views of the piece fed last.
 *
 * COPY rows are passed over at the speed of `Buffer.indexOf`. `section`, `toc` and the rest speak of the moment just after
 * the span that was taken last.
 * @throws DumpError `DumpNotUnderstood`, `MetaCommandRefused`
 */
export class DumpScanner {
  private readonly lexer = new SqlLexer();
  private readonly comments = new DumpComments();
  private readonly session: SessionSettings;
  private readonly connectAllowed: boolean;
  private mode: Mode = 'gap';
  private buffer: Buffer = Buffer.alloc(0);
  private at = 0;
  /** Where in the dump `buffer` begins. */
  private base = 0;
  private final = false;
  private lines = 1;

  private statementAt = 0;
  private readonly text = new StatementText();
  private copy: CopyHeader | undefined;
  private atLineStart = true;

  constructor({ settings = dumpSettings, section = 'pre-data', connectAllowed = false }: ScannerOptions = {}) {
    this.comments.items.section = section;
    this.session = new SessionSettings(settings);
    this.connectAllowed = connectAllowed;
  }

  /** Of the dump, as its items tell. */
  get section(): Section {
    return this.comments.items.section;
  }

  /** The item that the current statements belong to. */
  get toc(): TocItem | undefined {
    return this.comments.items.item;
  }

  /** The closing line was met, and nothing but blank space, comments and `\unrestrict` after it. */
  get closingLineSeen(): boolean {
    return this.comments.closingLineSeen;
  }

  /** As in `-- Dumped from database version 15.14`. */
  get dumpedFrom(): string | undefined {
    return this.comments.dumpedFrom;
  }

  /** As in `-- Dumped by pg_dump version 15.14`. */
  get dumpedBy(): string | undefined {
    return this.comments.dumpedBy;
  }

  /** As the dump has set them so far; what a scanner of a later stretch needs to begin with. */
  get settings(): ScanSettings {
    const { standardStrings, clientEncoding } = this.session;
    return { standardStrings, clientEncoding };
  }

  /** Bytes taken apart so far: where the next span begins. */
  get offset(): number {
    return this.base + this.at;
  }

  /** First word of the statement whose span was taken last, in lower case. */
  get firstWord(): string {
    return this.lexer.firstWord;
  }

  /** Hands in what follows. Spans taken before are no longer looked at; the piece's memory may be used again after the next call. */
  feed(piece: Uint8Array): void {
    const left = this.buffer.length - this.at;
    if (left > tokenLimit) throw notUnderstood(`Something longer than ${tokenLimit} bytes is no dump's`, this.offset);
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    this.base += this.at;
    this.buffer = left > 0 ? Buffer.concat([this.buffer.subarray(this.at), bytes]) : bytes;
    this.at = 0;
  }

  /** Nothing follows. */
  end(): void {
    this.feed(Buffer.alloc(0));
    this.final = true;
  }

  /**
   * What the dump ends in the middle of, once all spans are taken; nothing where it may end here.
   * @throws DumpError `DumpTruncated`
   */
  assertBetweenStatements(): void {
    if (this.mode === 'rows') throw truncated(`within the rows of ${nameOf(this.copy)}`, this.offset);
    if (this.mode === 'gap-comment') throw truncated('within a comment', this.offset);
    if (this.mode === 'statement' || this.mode === 'copy-line') throw truncated('within a statement', this.offset);
  }

  /** The next span, or nothing until more is fed. */
  next(): Span | undefined {
    for (;;) {
      const { mode, at } = this;
      const span = this.step();
      if (span) return span;
      if (this.mode === mode && this.at === at) {
        // What is left is the beginning of something; the piece it is a view of belongs to the caller.
        if (at < this.buffer.length) this.buffer = Buffer.from(this.buffer);
        return undefined;
      }
    }
  }

  private step(): Span | undefined {
    if (this.at === this.buffer.length) return undefined;
    switch (this.mode) {
      case 'gap':
        return this.gap();
      case 'gap-comment':
        return this.gapComment();
      case 'gap-line':
        return this.gapLine();
      case 'statement':
        return this.statement();
      case 'copy-line':
        return this.copyLine();
      case 'rows':
        return this.rows();
      case 'meta':
      default:
        return this.meta();
    }
  }

  private take(end: number): Buffer {
    const bytes = this.buffer.subarray(this.at, end);
    this.at = end;
    return bytes;
  }

  private takeGap(end: number, toc?: TocItem): Span | undefined {
    if (end === this.at) return undefined;
    const bytes = this.take(end);
    this.lines += countNewlines(bytes);
    return { kind: 'gap', bytes, toc };
  }

  private gap(): Span | undefined {
    const { buffer: b } = this;
    let i = this.at;
    for (; i < b.length; i++) {
      const c = b[i] as number;
      if (c === 0x20 || (c >= 0x09 && c <= 0x0d)) continue;
      const second = b[i + 1];
      if ((c === 0x2d || c === 0x2f) && second === undefined && !this.final) break;
      if (c === 0x2d && second === 0x2d) {
        const end = endOfLine(b, i);
        if (end < 0 && !this.final && b.length - i < lineLimit) break;
        if (end < 0 && !this.final) {
          this.mode = 'gap-line';
          return this.takeGap(b.length);
        }
        const isItem = this.comments.read(b.subarray(i, end < 0 ? b.length : end), this.session.clientEncoding);
        i = end < 0 ? b.length - 1 : end - 1;
        if (isItem) return this.takeGap(i + 1, this.toc);
        continue;
      }
      if (c === 0x2f && second === 0x2a) {
        this.lexer.openComment();
        this.mode = 'gap-comment';
        return this.takeGap(i + 2);
      }
      if (c === 0xef && this.base + i === 0) {
        // A byte order mark, which psql skips too.
        if (b.length < 3 && !this.final) break;
        if (second === 0xbb && b[2] === 0xbf) {
          i += 2;
          continue;
        }
      }
      this.mode = c === 0x5c ? 'meta' : 'statement';
      if (this.mode === 'statement') this.beginStatement(this.base + i);
      break;
    }
    return this.takeGap(i);
  }

  private gapComment(): Span | undefined {
    const end = this.lexer.comment(this.buffer, this.at, this.final);
    if (this.lexer.state !== 'comment') this.mode = 'gap';
    return this.takeGap(end);
  }

  private gapLine(): Span | undefined {
    const end = endOfLine(this.buffer, this.at);
    if (end >= 0) this.mode = 'gap';
    return this.takeGap(end < 0 ? this.buffer.length : end);
  }

  private beginStatement(offset: number): void {
    this.comments.closingLineSeen = false;
    this.lexer.reset(this.session.standardStrings);
    this.statementAt = offset;
    this.text.clear();
    this.copy = undefined;
  }

  private statement(): Span | undefined {
    const end = this.lexer.lex(this.buffer, this.at, this.final, this.base);
    if (end === this.at) return undefined;
    const first = this.base + this.at === this.statementAt;
    const bytes = this.take(end);
    this.lines += countNewlines(bytes);
    const isCopy = this.lexer.firstWord === 'copy';
    const limit = isCopy ? copyTextLimit : textLimit;
    const { ended } = this.lexer;
    this.text.add(bytes, limit);
    const text = ended ? this.text.whole(limit) : undefined;
    if (ended && isCopy && this.beginsCopy(text)) {
      this.mode = 'copy-line';
      return { kind: 'statement', bytes, first, last: false, text: undefined, copy: undefined };
    }
    if (ended) this.mode = 'gap';
    if (text && this.lexer.firstWord === 'set') this.session.follow(text, this.statementAt);
    return { kind: 'statement', bytes, first, last: ended, text, copy: undefined };
  }

  private beginsCopy(text: Buffer | undefined): boolean {
    const header = text ? parseCopyHeader(text, this.session.clientEncoding) : 'odd';
    if (header === 'odd') {
      throw notUnderstood('A COPY takes its rows in a form that pg_dump does not write', this.statementAt);
    }
    if (header === 'none') return false;
    // Dumps older than 10.3 set a search_path instead of naming schemas.
    const schema = header.schema ?? this.toc?.schema;
    this.copy = { ...header, ...(schema === undefined ? {} : { schema }) };
    return true;
  }

  /** What follows the `;` of a COPY, up to its rows. */
  private copyLine(): Span | undefined {
    const { buffer: b } = this;
    let i = this.at;
    while (b[i] === 0x20 || b[i] === 0x09 || b[i] === 0x0d) i++;
    const whole = b[i] === 0x0a;
    if (i < b.length && !whole) throw notUnderstood('Something follows a COPY statement in its line', this.base + i);
    const bytes = this.take(whole ? i + 1 : i);
    this.text.add(bytes, copyTextLimit);
    if (!whole) return { kind: 'statement', bytes, first: false, last: false, text: undefined, copy: undefined };
    this.lines++;
    this.mode = 'rows';
    this.atLineStart = true;
    if (this.section === 'pre-data') this.comments.items.section = 'data';
    const text = this.text.whole(copyTextLimit);
    return { kind: 'statement', bytes, first: false, last: true, text, copy: this.copy };
  }

  private rows(): Span | undefined {
    const { rowsEnd, endingLength } = passCopyData(this.buffer, this.at, this.atLineStart, this.final);
    if (rowsEnd > this.at) {
      const bytes = this.take(rowsEnd);
      const rows = countNewlines(bytes);
      this.lines += rows;
      this.atLineStart = bytes.at(-1) === 0x0a;
      return { kind: 'rows', bytes, rows };
    }
    if (endingLength === 0) return undefined;
    this.mode = 'gap';
    this.lines++;
    return { kind: 'copy-end', bytes: this.take(rowsEnd + endingLength) };
  }

  /** A psql command. The two that pg_dump writes guard against all others (CVE-2025-8714). */
  private meta(): Span | undefined {
    const newline = this.buffer.indexOf(0x0a, this.at);
    if (newline < 0 && !this.final) return undefined;
    const { offset } = this;
    const bytes = this.take(newline < 0 ? this.buffer.length : newline + 1);
    const command = bytes.toString('latin1').trimEnd();
    const found = /^\\(un)?restrict [A-Za-z0-9]+$/.exec(command);
    if (!found && !(this.connectAllowed && isConnect(command))) {
      throw metaCommandRefused(command.slice(0, 100), this.lines, offset);
    }
    if (found?.[1] === undefined) this.comments.closingLineSeen = false;
    this.lines++;
    this.mode = 'gap';
    return { kind: 'meta', bytes };
  }
}

function nameOf(copy: CopyHeader | undefined): string {
  return copy ? [copy.schema, copy.name].filter((part) => part !== undefined).join('.') : 'a table';
}
