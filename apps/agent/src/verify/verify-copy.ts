import { readAll } from '@strideiq/storage';
import { isSignedBy, type Manifest, type SigningKey, type TableRows } from '@strideiq/core';
import { verifyDump, type ExpectedDump } from '@strideiq/dump';
import { sha256 } from '../backup/manifest.ts';
import type { BackupSource } from '../backups/resolve-reference.ts';
import type { FoundManifest } from '../backups/find-backups.ts';
import type { Journal } from '../journal/journal.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { forgeryOf, misplacementOf } from '../restore/trust.ts';
import type { OpenedStore } from '../stores/opened-store.ts';

/** What reading every byte of a copy back has shown. */
export interface Verification {
  store: string;
  location: string;
  dumpKey: string;
  /** `missing`: its manifest is there, and it is not. */
  state: 'verified' | 'corrupt' | 'missing';
  bytes: number;
  rawBytes: number;
  sha256: string;
  tables: TableRows[];
  /** Versions of server and pg_dump, where the dump says them. */
  dumpedFrom?: string;
  dumpedBy?: string;
  /** What was compared with: without a manifest only gzip and the closing line tell. */
  comparedWith: 'manifest' | 'nothing';
  /** Whether this host wrote its manifest: only then its SQL may run with superuser rights without asking. */
  trusted: boolean;
  /** Empty where it is whole. */
  problems: string[];
}

export interface VerifyDependencies {
  key: SigningKey;
  journal: Journal;
  progress: ReportProgress;
  signal: AbortSignal;
}

/** A copy whose manifest stands in the store alone. */
export function missingCopy({ name, store }: OpenedStore, dumpKey: string): Verification {
  const problems = [`${dumpKey} is gone: its manifest is there alone`];
  const nothing = { bytes: 0, rawBytes: 0, sha256: '', tables: [], comparedWith: 'nothing' as const, trusted: false };
  return { store: name, location: store.location, dumpKey, state: 'missing', ...nothing, problems };
}

/**
 * Reads a copy back whole: size, SHA-256, gzip, closing line, index against content, rows against the manifest, and the
 * privileges beside it.
 * @throws StorageError where it cannot be read at all; what is wrong with its content is in `problems`
 */
export async function verifyCopy(source: BackupSource, deps: VerifyDependencies): Promise<Verification> {
  const { progress, signal, key, journal } = deps;
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
  const expected = manifest && expectedOf(manifest);
  const result = await verifyDump(watched(), expected);
  const forgery = forgeryOf(source, key, journal);
  const told = [source.unreadable, misplacementOf(source), forgery].filter((each) => each !== undefined);
  const problems = [...told, ...result.problems];
  for (const sidecar of [manifest?.privileges, manifest?.globals]) {
    if (!sidecar) continue;
    const { name: sidecarKey, sha256: expectedSha256 } = sidecar;
    if (!(await store.head(sidecarKey))) problems.push(`${sidecarKey} is missing`);
    else if (sha256(await readAll(await store.get(sidecarKey))) !== expectedSha256) {
      problems.push(`${sidecarKey} is not the file that was made: its SHA-256 differs`);
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
    ...(result.dumpedFrom === undefined ? {} : { dumpedFrom: result.dumpedFrom }),
    ...(result.dumpedBy === undefined ? {} : { dumpedBy: result.dumpedBy }),
    comparedWith: manifest ? 'manifest' : 'nothing',
    trusted: found !== undefined && !manifest?.adopted && isOwn(found, deps),
    problems,
  };
}

function expectedOf({ object, chunks, tables, adopted }: Manifest): ExpectedDump {
  return adopted ? { ...object, tables } : { ...object, chunks, tables };
}

function isOwn({ manifest, json, sha256 }: FoundManifest, { key, journal }: VerifyDependencies): boolean {
  return isSignedBy(json, key.publicPem) || journal.knowsManifest(manifest.backupId, sha256);
}
