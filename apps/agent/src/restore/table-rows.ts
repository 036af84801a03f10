import { frozenCopyOf, relationKey, type ChunkPiece } from '@strideiq/dump';
import type { RowsWork } from './data-plan.ts';
import type { LoadSession } from './load-session.ts';

type CopyPiece = Extract<ChunkPiece, { kind: 'copy' }>;

/**
 * Loads the rows of a table or of several out of their chunks. COPYs that follow one another with the same header are one
 * to the server; with `freeze` all of them are one transaction with the TRUNCATE that lets it freeze the rows.
 * @param pieces of the chunks, in order; what is not rows of these tables is passed over
 * @param passed is told the chunk of each statement that was passed over
 */
export async function loadRows(
  session: LoadSession,
  { tables, freeze }: RowsWork,
  pieces: AsyncIterable<ChunkPiece>,
  passed: (piece: ChunkPiece) => void,
): Promise<void> {
  const copies = new Copies(pieces, tables, passed);
  let truncated = false;
  try {
    for (let piece = await copies.next(); piece; piece = await copies.next()) {
      const frozen = freeze ? frozenCopyOf(piece.header) : undefined;
      if (frozen && !truncated) {
        await session.runOwn('BEGIN');
        await session.runOwn(frozen.truncate);
        truncated = true;
      }
      await session.copy(frozen?.copy ?? piece.header, piece.table, copies.rowsLike(piece));
    }
    if (truncated) await session.runOwn('COMMIT');
  } finally {
    await copies.close();
  }
}

/** The COPYs of some tables among the pieces of chunks. */
class Copies {
  readonly #pieces: AsyncIterator<ChunkPiece>;
  readonly #tables: ReadonlySet<string>;
  readonly #passed: (piece: ChunkPiece) => void;
  /** Met, and not of the COPY before. */
  #met: CopyPiece | undefined;

  constructor(pieces: AsyncIterable<ChunkPiece>, tables: ReadonlySet<string>, passed: (piece: ChunkPiece) => void) {
    this.#pieces = pieces[Symbol.asyncIterator]();
    this.#tables = tables;
    this.#passed = passed;
  }

  async next(): Promise<CopyPiece | undefined> {
    const met = this.#met;
    this.#met = undefined;
    return met ?? this.#read();
  }

  /** The rows of a COPY and of those after it that only go on with it. */
  async *rowsLike(first: CopyPiece): AsyncGenerator<Buffer> {
    for (let piece: CopyPiece | undefined = first; piece; piece = await this.#read()) {
      if (!piece.header.equals(first.header)) {
        this.#met = piece;
        return;
      }
      yield* piece.rows;
    }
  }

  /** Lets go of the chunks. */
  async close(): Promise<void> {
    await this.#pieces.return?.();
  }

  async #read(): Promise<CopyPiece | undefined> {
    for (;;) {
      const { value, done } = await this.#pieces.next();
      if (done === true) return undefined;
      if (value.kind === 'copy' && this.#tables.has(relationKey(value.table))) return value;
      this.#passed(value);
    }
  }
}
