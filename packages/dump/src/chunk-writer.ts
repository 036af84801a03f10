import type { Chunk, Section } from '@strideiq/core';
import { GzipMembers, type GzipMembersOptions, type MemberChunk, type Sink } from './gzip-members.ts';

interface ChunkSoFar {
  section: Section;
  /** Rows by the table's place. */
  rows: Map<number, number>;
}

/** Cuts what is written into chunks, and keeps their index. */
export class ChunkWriter {
  readonly members: GzipMembers;
  private readonly chunkBytes: number;
  private readonly ended: { chunk: ChunkSoFar; members: MemberChunk }[] = [];
  private chunk: ChunkSoFar = { section: 'pre-data', rows: new Map() };

  /** @param chunkBytes SQL after which a chunk is full */
  constructor(sink: Sink, chunkBytes: number, options: GzipMembersOptions) {
    this.chunkBytes = chunkBytes;
    this.members = new GzipMembers(sink, options);
  }

  get section(): Section {
    return this.chunk.section;
  }

  /** Bytes of SQL that still belong into this chunk; none or less where it is full. */
  get room(): number {
    return this.chunkBytes - this.members.chunkRawBytes;
  }

  write(bytes: Buffer): Promise<void> | undefined {
    return this.members.write(bytes);
  }

  /** Notes a table, or rows of it, as part of the chunk. */
  addRows(table: number, rows: number): void {
    this.chunk.rows.set(table, (this.chunk.rows.get(table) ?? 0) + rows);
  }

  /** What follows stands in a new chunk. An empty one only changes its section. */
  async cut(section: Section): Promise<void> {
    if (this.members.chunkRawBytes === 0) {
      this.chunk.section = section;
      return;
    }
    this.ended.push({ chunk: this.chunk, members: await this.members.endChunk() });
    this.chunk = { section, rows: new Map() };
  }

  /** Ends the last chunk and waits until the sink took it. */
  async end(): Promise<{ sha256: string; chunks: Chunk[] }> {
    await this.cut(this.chunk.section);
    const sha256 = await this.members.end();
    const chunks = this.ended.map(({ chunk, members }): Chunk => {
      const { offset, length, rawLength, sha256 } = members;
      const rows = [...chunk.rows].map(([table, rows]) => ({ table, rows }));
      return { section: chunk.section, offset, length, rawLength, sha256, ...(rows.length > 0 ? { rows } : {}) };
    });
    return { sha256, chunks };
  }
}
