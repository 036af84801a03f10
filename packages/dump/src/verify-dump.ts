import { createHash } from 'node:crypto';
import { paragraphOf, type Chunk, type TableRows } from '@strideiq/core';
import { otherHash } from './errors.ts';
import { StretchCheck } from './stretch-check.ts';
import { RowTally } from './row-tally.ts';
import type { ScanSettings } from './spans.ts';

/** What a manifest says of the object. */
export interface ExpectedDump {
  bytes: number;
  sha256: string;
  /** Left out for a file that is not ours, and has none. */
  chunks?: readonly Chunk[];
  tables: readonly TableRows[];
}

export interface VerifyResult {
  /** Compressed bytes read. */
  bytes: number;
  /** SQL that came out of them; of the whole parts only where some are damaged. */
  rawBytes: number;
  /** Of all compressed bytes. */
  sha256: string;
  tables: TableRows[];
  /** Whether pg_dump's closing line stands at the end. */
  closingLineSeen: boolean;
  dumpedFrom?: string;
  dumpedBy?: string;
  /** Each a sentence that names the place, in the order of the object; none where the dump is whole. */
  problems: string[];
}

/** Where most of an object is wrong, the first places say enough. */
const problemLimit = 50;

/**
 * Reads a compressed dump once, from end to end, and says all that is wrong with it: size, checksums of the whole and of each
 * chunk, gzip, SQL that is cut, rows per table, the closing line. With chunks, each is judged on its own, so that
 * one damaged place hides no other; without, as for files of the old scripts, the first damage ends the reading of SQL.
 * Memory is bounded whatever the size.
 * @throws whatever the source threw; what is wrong with the dump is no error but a problem
 */
export async function verifyDump(
  source: AsyncIterable<Uint8Array>,
  expected?: ExpectedDump,
  options: { signal?: AbortSignal; onProgress?: (bytes: number) => void } = {},
): Promise<VerifyResult> {
  const verifier = new DumpVerifier(expected);
  try {
    for await (const piece of source) {
      options.signal?.throwIfAborted();
      await verifier.write(piece);
      options.onProgress?.(verifier.bytes);
    }
    return await verifier.end();
  } finally {
    verifier.close();
  }
}

class DumpVerifier {
  bytes = 0;
  private readonly expected: ExpectedDump | undefined;
  private readonly hash = createHash('sha256');
  private readonly problems: string[] = [];
  private readonly tally = new RowTally();
  private rawBytes = 0;
  private settings: ScanSettings | undefined;
  private closingLineSeen = false;
  private dumpedFrom: string | undefined;
  private dumpedBy: string | undefined;
  /** Place of the chunk being read; the whole file is one stretch where there are none. */
  private number = 0;
  private stretch: StretchCheck | undefined;
  private stretchBytes = 0;

  constructor(expected: ExpectedDump | undefined) {
    this.expected = expected;
    this.open();
  }

  async write(piece: Uint8Array): Promise<void> {
    this.hash.update(piece);
    this.bytes += piece.length;
    for (let at = 0; at < piece.length && this.stretch;) {
      const left = (this.chunk?.length ?? Number.POSITIVE_INFINITY) - this.stretchBytes;
      const part = piece.subarray(at, at + Math.min(left, piece.length - at));
      await this.stretch.write(part);
      this.stretchBytes += part.length;
      at += part.length;
      if (part.length === left) await this.endStretch();
    }
  }

  async end(): Promise<VerifyResult> {
    const sha256 = this.hash.digest('hex');
    // Without chunks the stretch is the file; with them, one that is still open has not come whole.
    if (this.stretch) await this.endStretch();
    this.judgeWhole(sha256);
    const { bytes, rawBytes, closingLineSeen, dumpedFrom, dumpedBy, problems } = this;
    return {
      bytes,
      rawBytes,
      sha256,
      tables: this.tally.tables,
      closingLineSeen,
      ...(dumpedFrom === undefined ? {} : { dumpedFrom }),
      ...(dumpedBy === undefined ? {} : { dumpedBy }),
      problems:
        problems.length > problemLimit
          ? [...problems.slice(0, problemLimit), `${problems.length - problemLimit} more problems.`]
          : problems,
    };
  }

  close(): void {
    this.stretch?.close();
  }

  private get chunk(): Chunk | undefined {
    return this.expected?.chunks?.[this.number];
  }

  private open(): void {
    this.stretchBytes = 0;
    const { expected, chunk, settings } = this;
    if (chunk) this.stretch = new StretchCheck(settings, chunk.rawLength, false);
    // Nothing is run here, and without chunks the file need not be ours: one of `pg_dump --create` is as whole as any.
    else this.stretch = expected?.chunks ? undefined : new StretchCheck(settings, Number.POSITIVE_INFINITY, true);
  }

  private async endStretch(): Promise<void> {
    const { stretch, chunk } = this;
    if (!stretch) return;
    const { failure, sha256, scanner, rows, rawBytes } = await stretch.end();
    this.rawBytes += rawBytes;
    for (const table of rows.tables) this.tally.add(this.tally.placeOf(table.schema, table.name), table.rows);
    this.settings = failure === undefined ? scanner.settings : this.settings;
    this.closingLineSeen = failure === undefined && scanner.closingLineSeen;
    this.dumpedFrom ??= scanner.dumpedFrom;
    this.dumpedBy ??= scanner.dumpedBy;
    const why = failure === undefined ? '' : ` ${paragraphOf(failure)}`;
    if (!chunk) {
      if (failure !== undefined) this.problems.push(why.trim());
    } else {
      const wrong =
        this.judgeChunk(chunk, sha256, rawBytes, rows.tables) ?? (why === '' ? undefined : 'cannot be read');
      if (wrong !== undefined) {
        this.problems.push(
          `Chunk ${this.number} of the dump, ${chunk.length} bytes at byte ${chunk.offset}, ${wrong}.${why}`,
        );
      }
    }
    this.number++;
    this.stretch = undefined;
    if (this.expected?.chunks) this.open();
  }

  /** The first way in which a chunk is not what was written. */
  private judgeChunk(chunk: Chunk, sha256: string, rawBytes: number, found: TableRows[]): string | undefined {
    if (this.stretchBytes < chunk.length) return `is cut after ${this.stretchBytes} bytes`;
    if (sha256 !== chunk.sha256) return otherHash(chunk.sha256, sha256);
    if (rawBytes !== chunk.rawLength) return `holds ${rawBytes} bytes of SQL where ${chunk.rawLength} were written`;
    const rows = new RowTally();
    for (const { table, rows: count } of chunk.rows ?? []) {
      const { schema = '', name = '' } = this.expected?.tables[table] ?? {};
      rows.add(rows.placeOf(schema, name), count);
    }
    return rows.differenceTo(found);
  }

  private judgeWhole(sha256: string): void {
    const { expected, problems } = this;
    if (expected) {
      const { bytes, chunks = [] } = expected;
      const missing = chunks.length - this.number;
      if (missing > 0) problems.push(`The last ${missing} of ${chunks.length} chunks are missing.`);
      if (this.bytes !== bytes) problems.push(`The object has ${this.bytes} bytes where ${bytes} were written.`);
      if (sha256 !== expected.sha256) problems.push(`The object ${otherHash(expected.sha256, sha256)}.`);
      const rows = problems.length > 0 ? undefined : RowTally.of(expected.tables).differenceTo(this.tally.tables);
      if (rows !== undefined) problems.push(`The dump ${rows}.`);
    }
    if (problems.length === 0 && !this.closingLineSeen) {
      problems.push('The dump ends without the closing line of pg_dump: it is not whole.');
    }
  }
}
