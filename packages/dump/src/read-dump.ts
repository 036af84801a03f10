import type { Section } from '@strideiq/core';
import { statementTooLong, truncated } from './errors.ts';
import { DumpScanner } from './scanner.ts';
import { SpanCursor } from './span-cursor.ts';
import type { ScanSettings } from './spans.ts';
import type { TocItem } from './toc.ts';

/** What a restore runs, in the dump's order. */
export type DumpPiece =
  | {
      kind: 'statement';
      /** The statement's bytes as they stand, `;` included; in the dump's own encoding. */
      sql: Buffer;
      /** The item whose comment stands before it, which may have been some statements ago. */
      toc: TocItem | undefined;
      section: Section;
    }
  | {
      kind: 'copy';
      /** The whole `COPY … FROM stdin;` with its line end. */
      header: Buffer;
      /** `schema` is empty where the dump names none. */
      table: { schema: string; name: string };
      columns: string[] | undefined;
      /**
       * COPY text as it stands, newlines included, in pieces that need not end with a row. To be taken before the next
       * piece of the dump, which skips what is left. A piece's bytes are good until the next one is asked for.
       */
      rows: AsyncIterable<Buffer>;
      toc: TocItem | undefined;
      section: Section;
    };

export interface ReadDumpOptions {
  /** Longer statements are refused, since each is held whole: 1 GiB. */
  statementLimitBytes?: number;
  /** For a range of a dump, which has no closing line: false. */
  closingLine?: boolean;
  /** As in force where the range begins; what a dump begins with if left out. */
  settings?: ScanSettings;
  /** Of the range's beginning: pre-data. */
  section?: Section;
  /** Passes over the `\connect` of `pg_dump --create`, for a reader that runs nothing: false. */
  connectAllowed?: boolean;
}

const defaultStatementLimitBytes = 1024 ** 3;

/**
 * Reads plain SQL of pg_dump statement by statement. `\restrict` and `\unrestrict`, comments between statements and blank
 * space are left out.
 * @throws DumpError `MetaCommandRefused` for any other psql command, `DumpNotUnderstood`, `StatementTooLong`,
 *   `DumpTruncated` where the dump ends without its closing line; whatever the source threw
 */
export async function* readDump(
  source: AsyncIterable<Uint8Array>,
  options: ReadDumpOptions = {},
): AsyncGenerator<DumpPiece> {
  const scanner = new DumpScanner(options);
  yield* readPieces(source, scanner, options.statementLimitBytes);
  if ((options.closingLine ?? true) && !scanner.closingLineSeen) {
    throw truncated('without the closing line of pg_dump', scanner.offset);
  }
}

/** As `readDump`, with a scanner that the caller asks afterwards; does not look for the closing line. */
export async function* readPieces(
  source: AsyncIterable<Uint8Array>,
  scanner: DumpScanner,
  statementLimitBytes: number = defaultStatementLimitBytes,
): AsyncGenerator<DumpPiece> {
  const cursor = new SpanCursor(source, scanner);
  let parts: Buffer[] = [];
  let bytes = 0;
  try {
    for (let span = await cursor.next(); span; span = await cursor.next()) {
      if (span.kind !== 'statement') continue;
      bytes += span.bytes.length;
      if (bytes > statementLimitBytes) throw statementTooLong(statementLimitBytes, scanner.offset - bytes);
      parts.push(Buffer.from(span.bytes));
      if (!span.last) continue;
      const sql = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
      parts = [];
      bytes = 0;
      const { toc, section } = scanner;
      if (!span.copy) {
        yield { kind: 'statement', sql, toc, section };
        continue;
      }
      const { schema = '', name, columns } = span.copy;
      const rows = new CopyRows(cursor);
      yield { kind: 'copy', header: sql, table: { schema, name }, columns, rows, toc, section };
      rows.leave();
    }
  } finally {
    await cursor.close();
  }
}

/** The rows of one COPY, read off the dump's own cursor. */
class CopyRows implements AsyncIterable<Buffer> {
  private readonly cursor: SpanCursor;
  private state: 'here' | 'taken' | 'left' = 'here';

  constructor(cursor: SpanCursor) {
    this.cursor = cursor;
  }

  /** The dump goes on: what was not taken is skipped. */
  leave(): void {
    if (this.state === 'here') this.state = 'left';
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    while (this.state === 'here') {
      const span = await this.cursor.next();
      if (span?.kind === 'rows') yield span.bytes;
      else this.state = 'taken';
    }
    // To end quietly here would be to lose rows quietly.
    if (this.state === 'left') throw new Error('The rows of a COPY are to be taken before the next piece of the dump.');
  }
}
