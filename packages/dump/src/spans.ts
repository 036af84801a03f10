import type { CopyHeader } from './copy-header.ts';
import type { TocItem } from './toc.ts';

/**
 * A stretch of the dump. Spans follow each other without a gap or an overlap: their bytes, put together, are the dump.
 * - `gap`: blank space and comments between statements; ends after a TOC comment's line, which is then told.
 * - `statement`: all or part of one statement, from its first word to its `;`. A COPY's goes up to its rows.
 * - `rows`: COPY rows or parts of rows, as they stand; `rows` counts those that end here.
 * - `copy-end`: the line `\.`.
 * - `meta`: a `\restrict` or `\unrestrict` line.
 */
export type Span =
  | { kind: 'gap'; bytes: Buffer; toc: TocItem | undefined }
  | StatementSpan
  | { kind: 'rows'; bytes: Buffer; rows: number }
  | { kind: 'copy-end'; bytes: Buffer }
  | { kind: 'meta'; bytes: Buffer };

export interface StatementSpan {
  kind: 'statement';
  bytes: Buffer;
  first: boolean;
  last: boolean;
  /** On the last span: the whole statement, unless it is longer than 4 KiB (COPY: 1 MiB). */
  text: Buffer | undefined;
  /** On the last span of a COPY that is followed by rows. */
  copy: CopyHeader | undefined;
}

/** What the bytes of a dump mean depends on these session settings; a dump sets them in its first lines. */
export interface ScanSettings {
  standardStrings: boolean;
  clientEncoding: string;
}
