import type { Section } from '@strideiq/core';
import { ChunkWriter } from './chunk-writer.ts';
import type { CopyHeader } from './copy-header.ts';
import { countNewlines } from './count-newlines.ts';
import type { DumpFile } from './dump-file.ts';
import { truncated } from './errors.ts';
import type { GzipMembersOptions } from './gzip-members.ts';
import { privilegeItems, privilegeWords, setsPrivileges } from './privilege-statements.ts';
import { copyEnd } from './rows-writer.ts';
import { DumpScanner } from './scanner.ts';
import type { Span, StatementSpan } from './spans.ts';
import { parseSetval, transactionStep, type SequenceValue } from './statements.ts';
import type { DumpResult, WriteDumpOptions } from './write-dump.ts';

/** Longer blank stretches and comments between statements stay with what stands before them. */
const heldLimitBytes = 256 * 1024;
const transactionWords = new Set(['begin', 'start', 'commit', 'end', 'rollback', 'abort']);
const newline = 0x0a;

export interface DumpWriterOptions {
  chunkBytes: number;
  members: GzipMembersOptions;
  /** Post-data may follow only then: all rows must be in before it. */
  lanesDone: Promise<unknown> | undefined;
  takePrivileges: WriteDumpOptions['takePrivileges'];
}

/** Writes what pg_dump writes. */
export class DumpWriter {
  private readonly file: DumpFile;
  private readonly scanner = new DumpScanner();
  private readonly chunks: ChunkWriter;
  private readonly sequences: SequenceValue[] = [];
  private readonly lanesDone: Promise<unknown> | undefined;
  private readonly takePrivileges: WriteDumpOptions['takePrivileges'];

  /** What stands since the last statement: it goes with the next one, whose section is not known yet. */
  private held: Buffer[] = [];
  private heldBytes = 0;
  /** The statement that is passing is a SET, held too: after the preamble, pg_dump writes them before the comment of the item they are for. */
  private holdsStatement = false;
  /** The statement that is passing, as far as it has come, where it may set owner or grants. */
  private weighed: Buffer[] | undefined;
  /** Blank space that follows a statement goes with it. */
  private dropsBlanks = false;
  private inTransaction = false;

  private copy: { header: Buffer; place: number } | undefined;
  private atRowStart = true;

  constructor(file: DumpFile, { chunkBytes, members, lanesDone, takePrivileges }: DumpWriterOptions) {
    this.file = file;
    this.chunks = new ChunkWriter(file, chunkBytes, 'pre-data', members);
    this.lanesDone = lanesDone;
    this.takePrivileges = takePrivileges;
    // A failure is told by whoever reads the source.
    lanesDone?.catch(() => {});
  }

  async write(piece: Uint8Array): Promise<void> {
    this.scanner.feed(piece);
    await this.writeSpans();
  }

  /** @throws DumpError `DumpTruncated` */
  async end(): Promise<void> {
    this.scanner.end();
    await this.writeSpans();
    this.scanner.assertBetweenStatements();
    if (!this.scanner.closingLineSeen) throw truncated('without the closing line of pg_dump', this.scanner.offset);
    await this.cutBeforeClosing();
    await this.writeHeld();
    await this.chunks.end();
  }

  /** What the dump says of itself, once it has ended. */
  get told(): Pick<DumpResult, 'closingLineSeen' | 'dumpedBy' | 'dumpedFrom' | 'sequences'> {
    const { dumpedBy, dumpedFrom } = this.scanner;
    return {
      closingLineSeen: true,
      ...(dumpedBy === undefined ? {} : { dumpedBy }),
      ...(dumpedFrom === undefined ? {} : { dumpedFrom }),
      sequences: this.sequences,
    };
  }

  async abandon(): Promise<void> {
    await this.chunks.abandon();
  }

  private async writeSpans(): Promise<void> {
    for (let span = this.scanner.next(); span; span = this.scanner.next()) {
      // Most spans only fill the block, and need no trip through the event loop.
      const wait = this.writeSpan(span);
      if (wait) await wait;
    }
  }

  private writeSpan(span: Span): Promise<void> | undefined {
    switch (span.kind) {
      case 'gap':
        return this.hold(this.dropsBlanks ? this.withoutBlanks(span.bytes) : span.bytes);
      case 'statement':
        return this.writeStatement(span);
      case 'rows':
        return this.writeRows(span.bytes, span.rows);
      case 'copy-end':
        this.copy = undefined;
        this.file.table = undefined;
        return this.chunks.write(span.bytes);
      case 'meta':
      default:
        return this.writeMeta(span.bytes);
    }
  }

  private hold(bytes: Buffer): Promise<void> | undefined {
    this.heldBytes += bytes.length;
    if (this.heldBytes > heldLimitBytes) return this.writeAfterHeld(bytes);
    this.held.push(Buffer.from(bytes));
    return undefined;
  }

  private async writeAfterHeld(bytes: Buffer): Promise<void> {
    await this.writeHeld();
    await this.chunks.write(bytes);
  }

  private async writeMeta(bytes: Buffer): Promise<void> {
    await this.cutBeforeClosing();
    await this.writeAfterHeld(bytes);
  }

  /** The closing line stands behind all rows, also where there is no post-data. */
  private async cutBeforeClosing(): Promise<void> {
    const { lanesDone, scanner, chunks } = this;
    if (lanesDone && scanner.closingLineSeen && chunks.section !== 'post-data') await this.cut('post-data');
  }

  private async writeHeld(): Promise<void> {
    const { held } = this;
    this.held = [];
    for (const bytes of held) await this.chunks.write(bytes);
  }

  private async writeStatement(span: StatementSpan): Promise<void> {
    if (span.first) {
      const { firstWord, toc } = this.scanner;
      this.holdsStatement = firstWord === 'set' && toc !== undefined && !this.inTransaction;
      const isWeighed = this.takePrivileges !== undefined && privilegeWords.has(firstWord) && !this.inTransaction;
      this.weighed = isWeighed ? [] : undefined;
      this.dropsBlanks = false;
    }
    if (this.weighed) return this.weigh(span, this.weighed);
    if (this.holdsStatement) return this.hold(span.bytes);
    await this.passStatement(span);
  }

  private async weigh(span: StatementSpan, pieces: Buffer[]): Promise<void> {
    pieces.push(Buffer.from(span.bytes));
    if (!span.last) return;
    this.weighed = undefined;
    const bytes = Buffer.concat(pieces);
    if (!setsPrivileges(bytes)) {
      if (this.holdsStatement) return this.hold(bytes);
      return this.passStatement({ ...span, bytes, first: true });
    }
    this.takePrivileges?.(bytes);
    this.dropsBlanks = true;
    if (privilegeItems.has(this.scanner.toc?.type ?? '')) this.dropItemComment();
  }

  /** What is written is what pg_dump writes without owners and grants, to the byte but for the owners in its comments. */
  private dropItemComment(): void {
    const held = Buffer.concat(this.held);
    const at = held.lastIndexOf('--\n-- ');
    this.held = [at < 0 ? held : held.subarray(0, at)];
    this.heldBytes = this.held[0]?.length ?? 0;
  }

  private withoutBlanks(bytes: Buffer): Buffer {
    const at = bytes.findIndex((byte) => byte !== 0x20 && (byte < 0x09 || byte > 0x0d));
    if (at >= 0) this.dropsBlanks = false;
    return bytes.subarray(at < 0 ? bytes.length : at);
  }

  private async passStatement(span: StatementSpan): Promise<void> {
    if (span.first) await this.beginStatement();
    await this.chunks.write(span.bytes);
    if (span.last) this.endStatement(span);
  }

  /** Here, between statements, is where a chunk may end: before the comments of the statement that begins. */
  private async beginStatement(): Promise<void> {
    const { section } = this.scanner;
    if (!this.inTransaction && this.isToBeCut(section)) await this.cut(section);
    await this.writeHeld();
    this.heldBytes = 0;
  }

  private isToBeCut(section: Section): boolean {
    if (section !== this.chunks.section || this.chunks.room <= 0) return true;
    // A transaction, which large objects come in, stays whole however long it is: whoever wants the table before it does not
    // want all of that too.
    return this.scanner.firstWord === 'begin' && this.chunks.holdsRows;
  }

  /** The line in which the last statement ends is written to its end first. */
  private async cut(section: Section): Promise<void> {
    const entersPostData = section === 'post-data' && this.chunks.section !== section;
    const held = Buffer.concat(this.held);
    const lineEnd = held.indexOf(newline) + 1;
    const rest = held.subarray(0, lineEnd).toString('latin1').trim() === '' ? lineEnd : 0;
    await this.chunks.write(held.subarray(0, rest));
    await this.chunks.cut(section);
    this.held = [held.subarray(rest)];
    if (entersPostData) await this.lanesDone;
  }

  private endStatement({ text, copy }: StatementSpan): void {
    const { firstWord, settings } = this.scanner;
    if (!text) return;
    if (copy) return this.beginCopy(text, copy);
    if (firstWord === 'select') {
      const sequence = parseSetval(text, settings.clientEncoding);
      if (sequence) this.sequences.push(sequence);
      return;
    }
    const step = transactionWords.has(firstWord) ? transactionStep(text) : undefined;
    if (step) this.inTransaction = step === 'begin';
  }

  private beginCopy(header: Buffer, { schema = '', name }: CopyHeader): void {
    const place = this.file.tally.placeOf(schema, name);
    this.file.claim(place, DumpWriter);
    this.copy = { header: Buffer.from(header), place };
    this.file.table = `${schema}.${name}`;
    this.chunks.addRows(place, 0);
    this.atRowStart = true;
  }

  private writeRows(bytes: Buffer, rows: number): Promise<void> | undefined {
    if (bytes.length > this.chunks.room && !this.inTransaction) return this.writeRowsAcross(bytes);
    this.countRows(bytes, rows);
    return this.chunks.write(bytes);
  }

  private countRows(bytes: Buffer, rows: number): void {
    this.chunks.addRows(this.copy?.place ?? 0, rows);
    this.atRowStart = bytes.at(-1) === newline;
  }

  /** Rows of which some belong to the next chunk: a chunk ends with the row that fills it. */
  private async writeRowsAcross(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      if (this.chunks.room <= 0 && this.atRowStart) await this.continueCopy();
      const filled = at + Math.max(this.chunks.room, 1) - 1;
      const rowEnd = filled < bytes.length ? bytes.indexOf(newline, filled) + 1 : 0;
      const part = bytes.subarray(at, rowEnd > 0 ? rowEnd : bytes.length);
      this.countRows(part, countNewlines(part));
      await this.chunks.write(part);
      at += part.length;
    }
  }

  /** Ends the rows, and goes on under the same header in a new chunk, which can then be restored on its own. */
  private async continueCopy(): Promise<void> {
    if (!this.copy) return;
    await this.chunks.write(copyEnd);
    await this.chunks.cut(this.chunks.section);
    await this.chunks.write(this.copy.header);
    this.chunks.addRows(this.copy.place, 0);
  }
}
