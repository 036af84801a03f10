import { ChunkWriter } from './chunk-writer.ts';
import { parseCopyHeader } from './copy-header.ts';
import type { DumpFile } from './dump-file.ts';
import { notUnderstood } from './errors.ts';
import type { GzipMembersOptions } from './gzip-members.ts';

/** Ends the rows of a chunk. */
export const copyEnd = Buffer.from('\\.\n\n');
const newline = 0x0a;

/** Writes rows that come from the server itself as chunks of their own, each with one table's rows under their header. */
export class RowsWriter {
  private readonly file: DumpFile;
  private readonly chunks: ChunkWriter;
  private header: Buffer = Buffer.alloc(0);
  private place = 0;
  private table = '';
  private atRowStart = true;
  /** That ended in the open chunk. */
  private rows = 0;

  constructor(file: DumpFile, chunkBytes: number, options: GzipMembersOptions) {
    this.file = file;
    const onMember = () => {
      file.table = this.table;
      options.onMember?.();
    };
    this.chunks = new ChunkWriter(file, chunkBytes, 'data', { ...options, onMember });
  }

  /**
   * What follows are rows of this table.
   * @param header `COPY schema.table (columns) FROM stdin;` with its newline, in the encoding of the dump
   */
  async begin(header: Buffer, clientEncoding: string): Promise<void> {
    const read = parseCopyHeader(header, clientEncoding);
    if (typeof read === 'string') throw notUnderstood(`No rows can follow ${header.toString('latin1')}`, 0);
    const { schema = '', name } = read;
    this.header = header;
    this.place = this.file.tally.placeOf(schema, name);
    this.file.claim(this.place, RowsWriter);
    this.table = `${schema}.${name}`;
    this.atRowStart = true;
    await this.writeHeader();
  }

  /**
   * Adds bytes `from` … `to` of COPY's text format, which are copied: a row or a part of one.
   * @param endsRow whether the row ends here, as the server says
   * @returns a promise only where one has to wait
   * @throws DumpError `DumpNotUnderstood` where the bytes say otherwise
   */
  write(bytes: Buffer, from: number, to: number, endsRow: boolean): Promise<void> | undefined {
    if (this.atRowStart && this.rows > 0 && this.chunks.room <= 0) return this.writeInNext(bytes, from, to, endsRow);
    this.atRowStart = endsRow;
    if (endsRow) {
      if (bytes[to - 1] !== newline) throw notUnderstood(`A row of ${this.table} has no end`, 0);
      this.rows++;
    }
    return this.chunks.write(bytes, from, to);
  }

  /** Ends the rows, and with them the chunk. */
  async end(): Promise<void> {
    await this.chunks.write(copyEnd);
    this.noteRows();
    await this.chunks.cut('data');
  }

  /** Waits until the file has everything. */
  async finish(): Promise<void> {
    await this.chunks.end();
  }

  async abandon(): Promise<void> {
    await this.chunks.abandon();
  }

  private async writeInNext(bytes: Buffer, from: number, to: number, endsRow: boolean): Promise<void> {
    await this.end();
    await this.writeHeader();
    await this.write(bytes, from, to, endsRow);
  }

  private async writeHeader(): Promise<void> {
    this.chunks.addRows(this.place, 0);
    await this.chunks.write(this.header);
  }

  private noteRows(): void {
    this.chunks.addRows(this.place, this.rows);
    this.rows = 0;
  }
}
