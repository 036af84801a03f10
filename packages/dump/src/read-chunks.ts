import { createHash, type Hash } from 'node:crypto';
import type { Chunk } from '@strideiq/core';
import { ChunkBuffers } from './chunk-buffers.ts';
import { chunkCorrupt, otherHash } from './errors.ts';
import { gunzip } from './gunzip.ts';
import { MemberInflater } from './member-inflater.ts';
import { readPieces, type DumpPiece } from './read-dump.ts';
import { DumpScanner } from './scanner.ts';
import type { ScanSettings } from './spans.ts';

/** Yields exactly the bytes of that range of the object. */
export type FetchRange = (offset: number, length: number) => Promise<AsyncIterable<Uint8Array>>;

export interface ReadChunksOptions {
  /** Compressed bytes up to which a chunk is held in memory: 32 MiB. A larger one, of one huge row, is fetched twice. */
  heldBytes?: number;
  /** Compressed bytes up to which the next chunk is fetched while the one before is still read: 0. */
  aheadBytes?: number;
  /** Where several readers read at once, for all of them. */
  buffers?: ChunkBuffers;
  /** As in `readDump`. */
  statementLimitBytes?: number;
  /** As in force before the first of the chunks; what a dump begins with if left out. */
  settings?: ScanSettings;
}

export type ChunkPiece = DumpPiece & { chunk: Chunk };

const defaultHeldBytes = 32 * 1024 * 1024;

/**
 * Reads the chunks given, in the order given, piece by piece. Nothing of a chunk is handed out before all of its compressed
 * bytes have matched its SHA-256.
 * @throws DumpError `ChunkCorrupt`; what `readDump` and `gunzip` throw; whatever `fetch` threw
 */
export async function* readChunks(
  chunks: readonly Chunk[],
  fetch: FetchRange,
  options: ReadChunksOptions = {},
): AsyncGenerator<ChunkPiece> {
  let { settings } = options;
  const ahead = new ChunksAhead(chunks, fetch, options);
  const inflater = await MemberInflater.open();
  try {
    for (const [number, chunk] of chunks.entries()) {
      const ready = await ahead.take(number);
      const scanner = new DumpScanner({ settings, section: chunk.section });
      const sql =
        ready.held === undefined
          ? gunzip(ready.source, { maxBytes: chunk.rawLength })
          : inflater.inflate(ready.held, chunk.rawLength);
      for await (const piece of readPieces(sql, scanner, options.statementLimitBytes)) {
        yield { ...piece, section: chunk.section, chunk };
      }
      if (scanner.offset !== chunk.rawLength) {
        throw chunkCorrupt(number, chunk, `holds ${scanner.offset} bytes of SQL where ${chunk.rawLength} were written`);
      }
      ({ settings } = scanner);
      if (ready.held) ahead.giveBack(ready.held);
    }
  } finally {
    await ahead.end();
    inflater.close();
  }
}

/** A chunk that may be read: all of it, or piece by piece where it is too large for that. */
type ReadyChunk = { held: Buffer } | { held?: undefined; source: AsyncIterable<Uint8Array> };

/** Fetches chunks in their order, one of them before it is asked for. */
class ChunksAhead {
  private readonly chunks: readonly Chunk[];
  private readonly fetch: FetchRange;
  private readonly heldBytes: number;
  private readonly aheadBytes: number;
  private readonly buffers: ChunkBuffers;
  private next: Promise<ReadyChunk> | undefined;

  constructor(chunks: readonly Chunk[], fetch: FetchRange, options: ReadChunksOptions) {
    this.chunks = chunks;
    this.fetch = fetch;
    this.heldBytes = options.heldBytes ?? defaultHeldBytes;
    this.aheadBytes = options.aheadBytes ?? 0;
    this.buffers = options.buffers ?? new ChunkBuffers();
  }

  /** The chunk of that place, which is the one after the one that was taken last. */
  async take(number: number): Promise<ReadyChunk> {
    const ready = await (this.next ?? this.prepare(number));
    this.next = undefined;
    const following = this.chunks[number + 1];
    if (following && following.length <= Math.min(this.aheadBytes, this.heldBytes)) {
      this.next = this.prepare(number + 1);
      // Whoever takes it hears of its error.
      this.next.catch(() => undefined);
    }
    return ready;
  }

  private async prepare(number: number): Promise<ReadyChunk> {
    const chunk = this.chunks[number] as Chunk;
    const checked = new CheckedChunk(number, chunk, this.fetch);
    if (chunk.length > this.heldBytes) return { source: await checked.checkFirst() };
    return { held: await checked.hold(this.buffers.take(chunk.length)) };
  }

  /** Of a chunk that was read to its end. */
  giveBack(held: Buffer): void {
    this.buffers.give(held);
  }

  /** Nobody will take what is under way. */
  async end(): Promise<void> {
    await this.next?.catch(() => undefined);
  }
}

/** One chunk on its way in; its bytes are what the manifest says, or an error. */
class CheckedChunk {
  private readonly number: number;
  private readonly chunk: Chunk;
  private readonly fetch: FetchRange;

  constructor(number: number, chunk: Chunk, fetch: FetchRange) {
    this.number = number;
    this.chunk = chunk;
    this.fetch = fetch;
  }

  /** All of it, checked, in the memory given. */
  async hold(memory: Buffer): Promise<Buffer> {
    const bytes = memory.subarray(0, this.chunk.length);
    let at = 0;
    for await (const piece of this.checkedBytes()) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** Reads it once for its checksum; what is returned reads it again, checking that it is still the same. */
  async checkFirst(): Promise<AsyncIterable<Uint8Array>> {
    // oxlint-disable-next-line no-unused-vars -- read for the check alone
    for await (const _ of this.checkedBytes());
    return this.checkedBytes();
  }

  private async *checkedBytes(): AsyncGenerator<Uint8Array> {
    const { offset, length, sha256 } = this.chunk;
    const hash: Hash = createHash('sha256');
    let bytes = 0;
    for await (const piece of await this.fetch(offset, length)) {
      bytes += piece.length;
      if (bytes > length) throw this.corrupt('came with more bytes than it has');
      hash.update(piece);
      yield piece;
    }
    if (bytes < length) throw this.corrupt(`came with ${bytes} bytes only`);
    const found = hash.digest('hex');
    if (found !== sha256) throw this.corrupt(otherHash(sha256, found));
  }

  private corrupt(what: string): Error {
    return chunkCorrupt(this.number, this.chunk, what);
  }
}
