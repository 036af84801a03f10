import { createHash } from 'node:crypto';
import type { Gunzip } from 'node:zlib';
import { assertWithin, createInflater, empty, explain, headOf, padded } from './gunzip.ts';
import { RowTally } from './row-tally.ts';
import { DumpScanner } from './scanner.ts';
import type { ScanSettings } from './spans.ts';

/** What a stretch of whole members turned out to be. */
export interface CheckedStretch {
  sha256: string;
  rawBytes: number;
  rows: RowTally;
  scanner: DumpScanner;
  /** The first thing that went wrong; what comes after it was hashed only. */
  failure: unknown;
}

/** Hashes, decompresses and scans a chunk, or a whole file, as it is written into this. */
export class StretchCheck {
  private readonly hash = createHash('sha256');
  private readonly scanner: DumpScanner;
  private readonly inflater: Gunzip = createInflater();
  private readonly maxBytes: number;
  private readonly rows = new RowTally();
  private bytes = 0;
  private rawBytes = 0;
  private place = 0;
  private head: Buffer = Buffer.alloc(0);
  private failure: unknown;
  /** Lets `write` go on, also where zlib has failed and will not call back. */
  private goOn = (): void => {};

  /**
   * @param settings as in force where it begins; undefined for the beginning of a dump
   * @param maxBytes SQL beyond which it is not what was written
   * @param connectAllowed passes over the `\connect` of `pg_dump --create`
   */
  constructor(settings: ScanSettings | undefined, maxBytes: number, connectAllowed: boolean) {
    this.scanner = new DumpScanner({ settings, connectAllowed });
    this.maxBytes = maxBytes;
    // Output is used up as it comes, so that none of it piles up; an error there ends the reading, like one of zlib's.
    this.inflater.on('data', (sql: Buffer) => this.attempt(() => this.scan(sql)));
    this.inflater.on('error', (error) => this.fail(error));
  }

  /** Never throws: what fails is told at the end. */
  async write(piece: Uint8Array): Promise<void> {
    this.hash.update(piece);
    if (this.failure !== undefined) return;
    this.bytes += piece.length;
    this.head = headOf(this.head, piece);
    await new Promise<void>((resolve) => {
      this.goOn = resolve;
      this.inflater.write(piece, () => resolve());
    });
    this.assertUsedUp();
  }

  async end(): Promise<CheckedStretch> {
    if (this.failure === undefined && this.bytes === 0) this.fail(empty());
    if (this.failure === undefined) {
      await new Promise<void>((resolve) => {
        this.inflater.once('close', resolve);
        this.inflater.end();
      });
    }
    this.attempt(() => {
      this.scanner.end();
      this.takeSpans();
      this.scanner.assertBetweenStatements();
    });
    this.close();
    const { rawBytes, rows, scanner, failure } = this;
    return { sha256: this.hash.digest('hex'), rawBytes, rows, scanner, failure };
  }

  /** Lets go of zlib's memory. */
  close(): void {
    this.inflater.destroy();
  }

  private attempt(action: () => void): void {
    if (this.failure !== undefined) return;
    try {
      action();
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    this.failure ??= explain(error, this.inflater.bytesWritten, this.head);
    this.inflater.destroy();
    this.goOn();
  }

  /** zlib stops without a word at zero bytes behind a member. */
  private assertUsedUp(): void {
    if (this.failure === undefined && this.inflater.bytesWritten < this.bytes) {
      this.fail(padded(this.inflater.bytesWritten));
    }
  }

  private scan(sql: Buffer): void {
    this.rawBytes += sql.length;
    assertWithin(this.rawBytes, this.bytes, { maxBytes: this.maxBytes });
    this.scanner.feed(sql);
    this.takeSpans();
  }

  private takeSpans(): void {
    for (let span = this.scanner.next(); span; span = this.scanner.next()) {
      if (span.kind === 'statement' && span.copy) {
        this.place = this.rows.placeOf(span.copy.schema ?? '', span.copy.name);
      }
      if (span.kind === 'rows') this.rows.add(this.place, span.rows);
    }
  }
}
