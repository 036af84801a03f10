import type { Chunk, TableRows } from '@strideiq/core';
import { abortable } from './abortable.ts';
import { ChunkWriter } from './chunk-writer.ts';
import type { CopyHeader } from './copy-header.ts';
import { countNewlines } from './count-newlines.ts';
import { truncated } from './errors.ts';
import type { Sink } from './gzip-members.ts';
import { RowTally } from './row-tally.ts';
import { DumpScanner } from './scanner.ts';
import type { Span, StatementSpan } from './spans.ts';
import { parseSetval, transactionStep, type SequenceValue } from './statements.ts';

export interface WriteProgress {
  /** SQL taken from the source so far, with what was added to make chunks whole. */
  rawBytes: number;
  /** Compressed bytes that the sink took. */
  bytes: number;
  rows: number;
  /** The table whose rows are passing, as `schema.name`. */
  table?: string;
}

export interface WriteDumpOptions {
  /** zlib's, 0 to 9. */
  level: number;
  /** SQL in one gzip member: 512 KiB. */
  blockBytes?: number;
  /** Members compressed at once: 3. */
  membersInFlight?: number;
  /** SQL after which a chunk ends at the next row or statement: 16 MiB. */
  chunkBytes?: number;
  /** After each member. */
  onProgress?: (progress: WriteProgress) => void;
  signal?: AbortSignal;
}

export interface DumpResult {
  /** Compressed. */
  bytes: number;
  rawBytes: number;
  /** Of all compressed bytes. */
  sha256: string;
  chunks: Chunk[];
  /** In the order of their first rows. */
  tables: TableRows[];
  closingLineSeen: true;
  dumpedBy?: string;
  dumpedFrom?: string;
  sequences: SequenceValue[];
}

/**
 * Writes pg_dump's plain output as a `.sql.gz` of self-contained chunks: whole gzip members, whole statements, one section,
 * about `chunkBytes` of SQL. Long COPYs go on in further chunks under their own header, repeated; everything else stays
 * as it came, in its order. The same input gives the same bytes, whatever the pieces in which it comes.
 *
 * Holds about `blockBytes` × (`membersInFlight` + 2), twice. Takes from the source only as fast as the sink takes.
 * @param sink gets the compressed bytes in order, one call at a time
 * @throws DumpError `DumpTruncated` when the source ends without pg_dump's closing line, `MetaCommandRefused`,
 *   `DumpNotUnderstood`; whatever source or sink threw; the signal's reason. The sink is not called after that.
 */
export async function writeDump(
  source: AsyncIterable<Uint8Array>,
  sink: Sink,
  options: WriteDumpOptions,
): Promise<DumpResult> {
  const writer = new DumpWriter(sink, options);
  try {
    for await (const piece of abortable(source, options.signal)) await writer.write(piece);
    return await writer.end();
  } catch (error) {
    await writer.abandon(error);
    throw error;
  }
}

/** Longer blank stretches and comments between statements stay with what stands before them. */
const heldLimitBytes = 256 * 1024;
const transactionWords = new Set(['begin', 'start', 'commit', 'end', 'rollback', 'abort']);

/** Ends the rows of a chunk whose table goes on in the next one. */
const copyCut = Buffer.from('\\.\n\n');
const newline = 0x0a;

class DumpWriter {
  private readonly scanner = new DumpScanner();
  private readonly chunks: ChunkWriter;
  private readonly tally = new RowTally();
  private readonly sequences: SequenceValue[] = [];
  private rows = 0;

  /** What stands since the last statement: it goes with the next one, whose section is not known yet. */
  private held: Buffer[] = [];
  private heldBytes = 0;
  /** The statement that is passing is a SET, held too: after the preamble, pg_dump writes them before the comment of the item they are for. */
  private holdsStatement = false;
  private inTransaction = false;

  private copy: { header: Buffer; place: number; table: string } | undefined;
  private atRowStart = true;

  constructor(sink: Sink, options: WriteDumpOptions) {
    const { level, blockBytes = 512 * 1024, membersInFlight = 3, chunkBytes = 16 * 1024 * 1024, onProgress } = options;
    const onMember = onProgress ? () => onProgress(this.progress()) : () => {};
    this.chunks = new ChunkWriter(sink, chunkBytes, { level, blockBytes, membersInFlight, onMember });
  }

  private progress(): WriteProgress {
    const { rawBytes, bytes } = this.chunks.members;
    return { rawBytes, bytes, rows: this.rows, ...(this.copy ? { table: this.copy.table } : {}) };
  }

  async write(piece: Uint8Array): Promise<void> {
    this.scanner.feed(piece);
    await this.writeSpans();
  }

  async end(): Promise<DumpResult> {
    this.scanner.end();
    await this.writeSpans();
    this.scanner.assertBetweenStatements();
    if (!this.scanner.closingLineSeen) throw truncated('without the closing line of pg_dump', this.scanner.offset);
    await this.writeHeld();
    const { sha256, chunks } = await this.chunks.end();
    const { rawBytes, bytes } = this.chunks.members;
    const { dumpedBy, dumpedFrom } = this.scanner;
    return {
      bytes,
      rawBytes,
      sha256,
      chunks,
      tables: this.tally.tables,
      closingLineSeen: true,
      ...(dumpedBy === undefined ? {} : { dumpedBy }),
      ...(dumpedFrom === undefined ? {} : { dumpedFrom }),
      sequences: this.sequences,
    };
  }

  abandon(reason: unknown): Promise<void> {
    return this.chunks.members.abandon(reason);
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
        return this.hold(span.bytes);
      case 'statement':
        return this.writeStatement(span);
      case 'rows':
        return this.writeRows(span.bytes, span.rows);
      case 'copy-end':
        this.copy = undefined;
        return this.chunks.write(span.bytes);
      case 'meta':
      default:
        return this.writeAfterHeld(span.bytes);
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

  private async writeHeld(): Promise<void> {
    const { held } = this;
    this.held = [];
    for (const bytes of held) await this.chunks.write(bytes);
  }

  private async writeStatement(span: StatementSpan): Promise<void> {
    if (span.first) {
      const { firstWord, toc } = this.scanner;
      this.holdsStatement = firstWord === 'set' && toc !== undefined && !this.inTransaction;
    }
    if (this.holdsStatement) return this.hold(span.bytes);
    if (span.first) await this.beginStatement();
    await this.chunks.write(span.bytes);
    if (span.last) this.endStatement(span);
  }

  /** Here, between statements, is where a chunk may end: before the comments of the statement that begins. */
  private async beginStatement(): Promise<void> {
    const { section } = this.scanner;
    if (!this.inTransaction && (section !== this.chunks.section || this.chunks.room <= 0)) {
      const held = Buffer.concat(this.held);
      const lineEnd = held.indexOf(newline) + 1;
      const rest = held.subarray(0, lineEnd).toString('latin1').trim() === '' ? lineEnd : 0;
      await this.chunks.write(held.subarray(0, rest));
      await this.chunks.cut(section);
      this.held = [held.subarray(rest)];
    }
    await this.writeHeld();
    this.heldBytes = 0;
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
    const place = this.tally.placeOf(schema, name);
    this.copy = { header: Buffer.from(header), place, table: `${schema}.${name}` };
    this.chunks.addRows(place, 0);
    this.atRowStart = true;
  }

  private writeRows(bytes: Buffer, rows: number): Promise<void> | undefined {
    if (bytes.length > this.chunks.room && !this.inTransaction) return this.writeRowsAcross(bytes);
    this.countRows(bytes, rows);
    return this.chunks.write(bytes);
  }

  private countRows(bytes: Buffer, rows: number): void {
    const place = this.copy?.place ?? 0;
    this.chunks.addRows(place, rows);
    this.tally.add(place, rows);
    this.rows += rows;
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
    await this.chunks.write(copyCut);
    await this.chunks.cut(this.chunks.section);
    await this.chunks.write(this.copy.header);
    this.chunks.addRows(this.copy.place, 0);
  }
}
