export type { CopyHeader } from './copy-header.ts';
export * from './errors.ts';
export { gunzip, type GunzipOptions } from './gunzip.ts';
export { readDump, type DumpPiece, type ReadDumpOptions } from './read-dump.ts';
export { DumpScanner } from './scanner.ts';
export type { ScanSettings, Span, StatementSpan } from './spans.ts';
export type { SequenceValue } from './statements.ts';
export { parseTocLine, sectionAfter, type TocItem } from './toc.ts';
export { writeDump, type DumpResult, type WriteDumpOptions, type WriteProgress } from './write-dump.ts';
