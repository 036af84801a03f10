import type { Chunk, TableRows } from '@strideiq/core';
import { abortable } from './abortable.ts';
import { DumpFile, type Sink } from './dump-file.ts';
import { DumpWriter } from './dump-writer.ts';
import { RowsWriter } from './rows-writer.ts';
import type { SequenceValue } from './statements.ts';

export interface WriteProgress {
  /** SQL taken from the source so far, with what was added to make chunks whole. */
  rawBytes: number;
  /** Compressed bytes that the sink took. */
  bytes: number;
  rows: number;
  /** The table whose rows are passing, as `schema.name`. */
  table?: string;
}

export interface WriteDumpOptions {
  /** zlib's, 0 to 9. */
  level: number;
  /** SQL in one gzip member: 512 KiB. */
  blockBytes?: number;
  /** Members compressed at once: 3. */
  membersInFlight?: number;
  /** SQL after which a chunk ends at the next row or statement: 16 MiB. */
  chunkBytes?: number;
  /** After each member. */
  onProgress?: (progress: WriteProgress) => void;
  signal?: AbortSignal;
  /** What reads tables beside pg_dump, whose rows are then not in the source. */
  lanes?: readonly Lane[];
  /**
   * Owners and grants of what is dumped are then left out, as by `--no-owner --no-acl`, and each such statement given here in
   * its place of the dump, in the dump's encoding.
   */
  takePrivileges?: (sql: Buffer) => void;
}

/**
 * Reads rows from the server itself and writes them. Ends soon once the signal aborts: something else has failed, and is
 * told in its place.
 */
export type Lane = (rows: RowsWriter, signal: AbortSignal) => Promise<void>;

export interface DumpResult {
  /** Compressed. */
  bytes: number;
  rawBytes: number;
  /** Of all compressed bytes. */
  sha256: string;
  chunks: Chunk[];
  /** In the order of their first rows. */
  tables: TableRows[];
  closingLineSeen: true;
  dumpedBy?: string;
  dumpedFrom?: string;
  sequences: SequenceValue[];
}

/** Of a chunk that waits for its turn: what most chunks of 16 MiB come to, so that few have others wait for them. */
const holdBytes = 8 * 1024 * 1024;

/**
 * Writes pg_dump's plain output as a `.sql.gz` of self-contained chunks: whole gzip members, whole statements, one section,
 * about `chunkBytes` of SQL. Long COPYs go on in further chunks under their own header, repeated; everything else stays
 * as it came, in its order. Without lanes the same input gives the same bytes, whatever the pieces in which it comes.
 *
 * Lanes' chunks come between pre-data and post-data, in the order in which they are finished; no more is taken from the
 * source at the begin of post-data until the lanes are done.
 *
 * Holds about `blockBytes` × (`membersInFlight` + 2), twice; for each lane that and a chunk. Takes from the source only as
 * fast as the sink takes.
 * @param sink gets the compressed bytes in order, one call at a time, and keeps none of them
 * @throws DumpError `DumpTruncated` when the source ends without pg_dump's closing line, `MetaCommandRefused`,
 *   `DumpNotUnderstood`; whatever source, sink or a lane threw; the signal's reason. The sink is not called after that.
 */
export async function writeDump(
  source: AsyncIterable<Uint8Array>,
  sink: Sink,
  options: WriteDumpOptions,
): Promise<DumpResult> {
  const { level, blockBytes = 512 * 1024, membersInFlight = 3, chunkBytes = 16 * 1024 * 1024, lanes = [] } = options;
  const file = new DumpFile(sink, lanes.length > 0 ? holdBytes : 0);
  const onMember = () => options.onProgress?.(progressOf(file));
  const members = { level, blockBytes, membersInFlight, onMember };
  const signal = AbortSignal.any([file.failed, ...(options.signal ? [options.signal] : [])]);
  const writers = lanes.map(() => new RowsWriter(file, chunkBytes, members));
  const reading = writers.map(async (rows, at) => {
    await lanes[at]?.(rows, signal);
    await rows.finish();
  });
  for (const lane of reading) lane.catch((error: unknown) => file.fail(error));
  const lanesDone = lanes.length > 0 ? Promise.all(reading) : undefined;
  const writer = new DumpWriter(file, { chunkBytes, members, lanesDone, takePrivileges: options.takePrivileges });
  try {
    for await (const piece of abortable(source, lanes.length > 0 ? signal : options.signal)) await writer.write(piece);
    await writer.end();
  } catch (error) {
    file.fail(error);
    await Promise.allSettled([...reading, writer.abandon(), ...writers.map(async (rows) => rows.abandon())]);
    throw error;
  }
  const { bytes, rawBytes, chunks } = file;
  return { bytes, rawBytes, sha256: file.end(), chunks, tables: file.tally.tables, ...writer.told };
}

function progressOf({ rawBytes, bytes, rows, table }: DumpFile): WriteProgress {
  return { rawBytes, bytes, rows, ...(table === undefined ? {} : { table }) };
}
