import type { TableRows } from '@strideiq/core';
import { verifyDump } from '@strideiq/dump';
import { createHash } from 'node:crypto';
import type { BackupSource } from '../backups/resolve-reference.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { readAll } from '../stores/opened-store.ts';

/** What reading every byte of a copy back has shown. */
export interface Verification {
  store: string;
  location: string;
  dumpKey: string;
  state: 'verified' | 'corrupt';
  bytes: number;
  rawBytes: number;
  sha256: string;
  tables: TableRows[];
  /** What was compared with: without a manifest only gzip and the closing line tell. */
  comparedWith: 'manifest' | 'nothing';
  /** Empty where it is whole. */
  problems: string[];
}

/**
 * Reads a copy back whole: size, SHA-256, gzip, closing line, index against content, rows against the manifest, and the
 * privileges beside it.
 * @throws StorageError where it cannot be read at all; what is wrong with its content is in `problems`
 */
export async function verifyCopy(
  source: BackupSource,
  progress: ReportProgress,
  signal: AbortSignal,
): Promise<Verification> {
  const { opened, dumpKey, found } = source;
  const { store, name } = opened;
  const manifest = found?.manifest;
  let bytes = 0;
  const stream = await store.get(dumpKey, undefined, { signal });
  async function* watched(): AsyncGenerator<Uint8Array> {
    for await (const piece of stream) {
      signal.throwIfAborted();
      bytes += piece.length;
      progress({ phase: 'reading', bytes, rawBytes: bytes, expectedRawBytes: source.sizeBytes });
      yield piece;
    }
  }
  const expected = manifest && { ...manifest.object, chunks: manifest.chunks, tables: manifest.tables };
  const result = await verifyDump(watched(), expected);
  const problems = [...result.problems];
  if (manifest?.privileges) {
    const { name: key, sha256 } = manifest.privileges;
    const sidecar = await store.head(key);
    if (!sidecar) problems.push(`${key} is missing`);
    else if (
      createHash('sha256')
        .update(await readAll(await store.get(key)))
        .digest('hex') !== sha256
    ) {
      problems.push(`${key} is not the file that was made: its SHA-256 differs`);
    }
  }
  return {
    store: name,
    location: store.location,
    dumpKey,
    state: problems.length === 0 ? 'verified' : 'corrupt',
    bytes: result.bytes,
    rawBytes: result.rawBytes,
    sha256: result.sha256,
    tables: result.tables,
    comparedWith: manifest ? 'manifest' : 'nothing',
    problems,
  };
}
