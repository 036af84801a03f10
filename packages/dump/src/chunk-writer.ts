import type { Section } from '@strideiq/core';
import { OpenChunk, type DumpFile } from './dump-file.ts';
import { GzipMembers, type GzipMembersOptions } from './gzip-members.ts';

/** One producer of a file: cuts what it writes into chunks. */
export class ChunkWriter {
  private readonly file: DumpFile;
  private readonly members: GzipMembers;
  private readonly chunkBytes: number;
  private chunk: OpenChunk;

  /**
   * @param chunkBytes SQL after which a chunk is full
   * @param section of the first chunk
   */
  constructor(file: DumpFile, chunkBytes: number, section: Section, options: GzipMembersOptions) {
    this.file = file;
    this.chunkBytes = chunkBytes;
    this.chunk = new OpenChunk(file, section);
    this.members = new GzipMembers(file, this.chunk, options);
  }

  get section(): Section {
    return this.chunk.section;
  }

  /** Bytes of SQL that still belong into this chunk; none or less where it is full. */
  get room(): number {
    return this.chunkBytes - this.members.chunkRawBytes;
  }

  /** Whether the chunk has rows of a table. */
  get holdsRows(): boolean {
    return this.chunk.rows.size > 0;
  }

  /** Bytes `from` … `to`, as `GzipMembers.write`. */
  write(bytes: Buffer, from?: number, to?: number): Promise<void> | undefined {
    return this.members.write(bytes, from, to);
  }

  /** Notes a table, or rows of it, as part of the chunk. */
  addRows(table: number, rows: number): void {
    this.chunk.rows.set(table, (this.chunk.rows.get(table) ?? 0) + rows);
    this.file.addRows(table, rows);
  }

  /** What follows stands in a new chunk. An empty one only changes its section. */
  async cut(section: Section): Promise<void> {
    const leavesPreData = this.section === 'pre-data' && section !== 'pre-data';
    if (this.members.chunkRawBytes === 0) this.chunk.section = section;
    else {
      this.chunk = new OpenChunk(this.file, section);
      await this.members.endChunk(this.chunk);
    }
    if (leavesPreData) this.members.afterwards(async () => this.file.openData());
  }

  /** Ends the last chunk and waits until the file has it. */
  async end(): Promise<void> {
    await this.cut(this.section);
    await this.members.end();
  }

  /** Waits until nothing of it is being compressed any more; for the time after a failure. */
  async abandon(): Promise<void> {
    await this.members.abandon();
  }
}
