import type { FetchRange } from '../read-chunks.ts';
import { writeDump, type DumpResult, type WriteDumpOptions } from '../write-dump.ts';
import { piecesOf } from './pieces.ts';

/** A dump as written into memory. */
export interface WrittenDump {
  object: Buffer;
  result: DumpResult;
}

/** Writes SQL, in pieces that end at the given places. */
export async function written(
  sql: string | Buffer,
  options: Partial<WriteDumpOptions> = {},
  ends: readonly number[] = [],
): Promise<WrittenDump> {
  const parts: Buffer[] = [];
  const sink = async (bytes: Buffer): Promise<void> => {
    parts.push(Buffer.from(bytes));
  };
  const result = await writeDump(piecesOf(Buffer.from(sql), ends), sink, { level: 4, ...options });
  return { object: Buffer.concat(parts), result };
}

/** Ranges of an object in memory, as a store hands them out. */
export function rangesOf(object: Buffer): FetchRange {
  return async (offset, length) => piecesOf(object.subarray(offset, offset + length), [length >>> 1]);
}

/** A small dump as pg_dump lays it out. */
export function dumpText(middle: string): string {
  return `--\n-- PostgreSQL database dump\n--\n\nSET standard_conforming_strings = on;\n\n${middle}--\n-- PostgreSQL database dump complete\n--\n\n`;
}

export function tocComment(type: string, name = 'x'): string {
  return `--\n-- Name: ${name}; Type: ${type}; Schema: public; Owner: -\n--\n\n`;
}

/** A table's rows as pg_dump writes them; each row without its newline. */
export function copyText(table: string, rows: readonly string[], columns = 'a'): string {
  const lines = rows.map((row) => `${row}\n`).join('');
  return `${tocComment('TABLE DATA', table)}COPY public.${table} (${columns}) FROM stdin;\n${lines}\\.\n\n\n`;
}
