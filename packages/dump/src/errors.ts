import { CodedError, type Chunk } from '@strideiq/core';

/**
 * What can be wrong with a dump.
 * - `DumpTruncated`: it ends before its closing line, or inside a statement, a row or a gzip member.
 * - `DumpNotUnderstood`: not plain pg_dump output, or a form of it that cannot be read safely.
 * - `MetaCommandRefused`: a psql command other than `\restrict` and `\unrestrict`; they can run programs.
 * - `StatementTooLong`: one statement is longer than the caller holds in memory.
 * - `NotGzip`, `DumpCorrupt`, `DumpExpandsTooFar`: about the compression.
 * - `ChunkCorrupt`: a chunk is not what its manifest says.
 * - `CompressionFailed`: the compressor gave nothing.
 */
export type DumpErrorCode =
  | 'DumpTruncated'
  | 'DumpNotUnderstood'
  | 'MetaCommandRefused'
  | 'StatementTooLong'
  | 'NotGzip'
  | 'DumpCorrupt'
  | 'DumpExpandsTooFar'
  | 'ChunkCorrupt'
  | 'CompressionFailed';

/** An error of this package. */
export class DumpError extends CodedError<DumpErrorCode> {}

const otherCopy = 'Use another copy or another backup; `strideiq-agent verify` tells which are whole.';

/** @param where what the last bytes were part of, as a noun: "the rows of public.a" */
export function truncated(where: string, offset: number): DumpError {
  return new DumpError(
    'DumpTruncated',
    `The dump ends at byte ${offset} of SQL ${where}.`,
    'It is not whole: whatever wrote it was stopped. Take the backup again, or use another copy.',
  );
}

/** @param what what stands there, as a sentence without its end */
export function notUnderstood(what: string, offset: number): DumpError {
  return new DumpError(
    'DumpNotUnderstood',
    `${what}, at byte ${offset} of SQL.`,
    'Only plain output of pg_dump is read here; `gunzip -c FILE | psql` may still restore the file.',
  );
}

/**
 * Whether a psql command is one that `pg_dump --create` writes: before a name with anything in it but letters, digits, dots
 * and underscores it also says how that is spelt (`appendPsqlMetaConnect`, src/fe_utils/string_utils.c).
 */
export function isConnect(command: string): boolean {
  return command.startsWith('\\connect ') || command === '\\encoding SQL_ASCII';
}

export function metaCommandRefused(command: string, line: number, offset: number): DumpError {
  const found = `The dump holds the psql command ${JSON.stringify(command)} in line ${line}, at byte ${offset} of SQL`;
  if (isConnect(command)) {
    return new DumpError(
      'MetaCommandRefused',
      `${found}: it was made with \`pg_dump --create\`, and names its database itself.`,
      'Take the dump without --create, or restore this one with `gunzip -c FILE | psql -d postgres`, which creates that database.',
    );
  }
  return new DumpError(
    'MetaCommandRefused',
    `${found}.`,
    'No dump that pg_dump made of one database holds such a command; find out who wrote it before restoring any of it.',
  );
}

export function statementTooLong(limitBytes: number, offset: number): DumpError {
  return new DumpError(
    'StatementTooLong',
    `The statement at byte ${offset} of SQL is longer than ${limitBytes} bytes.`,
    'Restore the file with `gunzip -c FILE | psql` instead.',
  );
}

export function corrupt(what: string, offset: number, options?: ErrorOptions): DumpError {
  return new DumpError(
    'DumpCorrupt',
    `The compressed dump is damaged near byte ${offset}: ${what}.`,
    otherCopy,
    options,
  );
}

/**
 * @param number the chunk's place among those given, from 0
 * @param what what it is or does, as the rest of a sentence: "has another SHA-256: …"
 */
export function chunkCorrupt(number: number, { offset, length }: Chunk, what: string): DumpError {
  return new DumpError(
    'ChunkCorrupt',
    `Chunk ${number} of the dump, ${length} bytes at byte ${offset} of the object, ${what}.`,
    otherCopy,
  );
}

/** Two checksums, for `chunkCorrupt`. */
export function otherHash(expected: string, found: string): string {
  return `is damaged: its SHA-256 is ${found} where ${expected} was written`;
}
