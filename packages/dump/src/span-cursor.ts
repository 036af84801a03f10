import type { DumpScanner } from './scanner.ts';
import type { Span } from './spans.ts';

/** The spans of a dump, one after another; a piece is taken from the source only once the one before is used up. */
export class SpanCursor {
  private readonly iterator: AsyncIterator<Uint8Array>;
  private readonly scanner: DumpScanner;
  private ended = false;

  constructor(source: AsyncIterable<Uint8Array>, scanner: DumpScanner) {
    this.iterator = source[Symbol.asyncIterator]();
    this.scanner = scanner;
  }

  /**
   * The next span; undefined at the end. Its bytes are good until the next call.
   * @throws DumpError `DumpTruncated` at an end within a statement or rows; whatever the source threw
   */
  async next(): Promise<Span | undefined> {
    for (;;) {
      const span = this.scanner.next();
      if (span) return span;
      if (this.ended) {
        this.scanner.assertBetweenStatements();
        return undefined;
      }
      const result = await this.iterator.next();
      if (result.done === true) {
        this.ended = true;
        this.scanner.end();
      } else this.scanner.feed(result.value);
    }
  }

  /** Lets go of the source. */
  async close(): Promise<void> {
    if (!this.ended) await this.iterator.return?.();
    this.ended = true;
  }
}
