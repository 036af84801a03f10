import { createHash } from 'node:crypto';
import type { Chunk, Section } from '@strideiq/core';
import { ChunkBuffers } from './chunk-buffers.ts';
import { notUnderstood } from './errors.ts';
import { RowTally } from './row-tally.ts';

/**
 * Takes compressed bytes; its promise is the back-pressure. Called again only once it has resolved, and others may then
 * be written over these.
 */
export type Sink = (bytes: Buffer) => Promise<void>;

/**
 * The one stream that leaves, and the index of what went into it. Several producers share it: whoever has the turn puts
 * a chunk into it, whole, while the others wait.
 *
 * After an error every call rejects with it and the sink is not called again.
 */
export class DumpFile {
  /** Bytes that the sink took. */
  bytes = 0;
  /** Bytes of SQL that were compressed, by all producers. */
  rawBytes = 0;
  rows = 0;
  /** The table whose rows came last, as `schema.name`. */
  table: string | undefined;
  readonly tally = new RowTally();
  readonly chunks: Chunk[] = [];
  /** Chunks beyond pre-data that a producer may hold until its turn: none where it is alone and always has it. */
  readonly holdBytes: number;
  /** Of chunks that wait. */
  readonly buffers = new ChunkBuffers();

  private readonly sink: Sink;
  private readonly hash = createHash('sha256');
  private readonly preDataIsIn = Promise.withResolvers<void>();
  private readonly waiting: PromiseWithResolvers<void>[] = [];
  private taken = false;
  private readonly failing = new AbortController();
  private readonly writers = new Map<number, object>();

  /** @param holdBytes compressed bytes of a chunk that a producer keeps while it is not finished */
  constructor(sink: Sink, holdBytes: number) {
    this.sink = sink;
    this.holdBytes = holdBytes;
    // Told by whoever waits for it, if anyone does.
    this.preDataIsIn.promise.catch(() => {});
  }

  /** Waits until the stream is the caller's. What is not pre-data waits for all of that first. */
  async turn(section: Section): Promise<void> {
    if (section !== 'pre-data') await this.preDataIsIn.promise;
    this.throwFailure();
    if (!this.taken) {
      this.taken = true;
      return;
    }
    const turn = Promise.withResolvers<void>();
    this.waiting.push(turn);
    await turn.promise;
  }

  giveBack(): void {
    const next = this.waiting.shift();
    if (next) next.resolve();
    else this.taken = false;
  }

  /** The last of pre-data is in: rows may follow. */
  openData(): void {
    this.preDataIsIn.resolve();
  }

  /** To be called by whoever has the turn, one call at a time. */
  async put(bytes: Buffer): Promise<void> {
    this.throwFailure();
    this.hash.update(bytes);
    this.bytes += bytes.length;
    await this.sink(bytes);
  }

  /**
   * Notes who writes a table's rows.
   * @param place of the table
   * @throws DumpError `DumpNotUnderstood` where another does too: its rows would be there twice
   */
  claim(place: number, writer: object): void {
    const other = this.writers.get(place);
    if (other !== undefined && other !== writer) {
      const { schema, name } = this.tally.tables[place] ?? { schema: '', name: '' };
      throw notUnderstood(`pg_dump writes rows of ${schema}.${name}, which it was told to leave out`, this.rawBytes);
    }
    this.writers.set(place, writer);
  }

  addRows(table: number, rows: number): void {
    this.tally.add(table, rows);
    this.rows += rows;
  }

  /** Nothing more goes in. */
  fail(error: unknown): void {
    if (this.failed.aborted) return;
    this.failing.abort(error);
    this.preDataIsIn.reject(error);
    for (const turn of this.waiting.splice(0)) turn.reject(error);
  }

  throwFailure(): void {
    this.failed.throwIfAborted();
  }

  /** Aborted by the first failure, which is its reason. */
  get failed(): AbortSignal {
    return this.failing.signal;
  }

  /** SHA-256 of all of it. */
  end(): string {
    this.throwFailure();
    return this.hash.digest('hex');
  }
}

/** Members of a chunk that waits, one after another. */
interface Held {
  readonly buffer: Buffer;
  used: number;
}

const heldBufferBytes = 1024 * 1024;

/**
 * A chunk on its way. Its members are kept until it is finished, and go into the file together; one that outgrows what
 * may be kept takes the turn, and the others wait until it is through.
 */
export class OpenChunk {
  section: Section;
  /** Bytes of SQL; to be set before `end`. */
  rawLength = 0;
  /** Rows by the table's place. */
  readonly rows = new Map<number, number>();
  private readonly file: DumpFile;
  private readonly hash = createHash('sha256');
  private held: Held[] = [];
  private heldBytes = 0;
  private hasTurn = false;
  private offset = 0;
  private length = 0;

  constructor(file: DumpFile, section: Section) {
    this.file = file;
    this.section = section;
  }

  /** Adds one member, whose bytes are looked at no more once it resolves: there is room for another then. */
  async add(bytes: Buffer): Promise<void> {
    this.file.throwFailure();
    this.hash.update(bytes);
    this.length += bytes.length;
    const holdBytes = this.section === 'data' ? this.file.holdBytes : 0;
    if (!this.hasTurn && this.heldBytes + bytes.length <= holdBytes) {
      this.hold(bytes);
      return;
    }
    if (!this.hasTurn) await this.begin();
    await this.file.put(bytes);
  }

  private hold(bytes: Buffer): void {
    this.heldBytes += bytes.length;
    for (let from = 0; from < bytes.length;) {
      let last = this.held.at(-1);
      if (!last || last.used === last.buffer.length) {
        last = { buffer: this.file.buffers.take(heldBufferBytes), used: 0 };
        this.held.push(last);
      }
      const taken = bytes.copy(last.buffer, last.used, from);
      last.used += taken;
      from += taken;
    }
  }

  private async begin(): Promise<void> {
    await this.file.turn(this.section);
    this.hasTurn = true;
    this.offset = this.file.bytes;
    const { held } = this;
    this.held = [];
    for (const { buffer, used } of held) {
      await this.file.put(buffer.subarray(0, used));
      this.file.buffers.give(buffer);
    }
  }

  /** Nothing follows in it; resolves when the sink has all of it. */
  async end(): Promise<void> {
    if (!this.hasTurn) await this.begin();
    const { section, offset, length, rawLength } = this;
    const sha256 = this.hash.digest('hex');
    const rows = [...this.rows].map(([table, rows]) => ({ table, rows }));
    this.file.chunks.push({ section, offset, length, rawLength, sha256, ...(rows.length > 0 ? { rows } : {}) });
    this.file.giveBack();
  }
}
