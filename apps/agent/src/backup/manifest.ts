import { checkManifest, type BackupNames, type Manifest } from '@strideiq/core';
import type { DumpResult } from '@strideiq/dump';
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import type { SealedBackup } from '../journal/schema.ts';
import { agentVersion } from '../version.ts';
import type { ServerFacts } from './preflight.ts';
import type { BackupRequest } from './backup-request.ts';
import type { Globals } from './globals.ts';
import type { Snapshot } from './snapshot.ts';

/** What was read of the database at the snapshot, beside its rows. */
export type Contents = Pick<Manifest, 'extensions' | 'roles' | 'passwordsIn' | 'inventory'>;

/** Everything that a backup has found out by its end. */
export interface ManifestParts {
  request: BackupRequest;
  ids: { backupId: string; runId: string };
  startedAt: Date;
  finishedAt: Date;
  facts: ServerFacts;
  /** Of pg_dump. */
  toolVersion: string;
  /** Connections that read rows at once. */
  jobs: number;
  snapshot: Snapshot;
  names: BackupNames;
  result: DumpResult;
  contents: Contents;
  /** The sidecar as it is stored. */
  privileges: Buffer | undefined;
  globals: Globals | undefined;
}

/** The manifest of a backup, not yet signed. */
export function makeManifest(parts: ManifestParts): Manifest {
  const { request, ids, facts, snapshot, names, result, privileges, globals } = parts;
  return {
    formatVersion: 1,
    ...ids,
    environment: request.environment,
    database: request.database,
    databaseId: request.databaseId,
    storeIds: request.stores.map(({ store }) => store.storeId),
    agent: { version: agentVersion, hostname: hostname() },
    source: {
      database: facts.database,
      serverVersion: facts.version,
      serverVersionNumber: facts.versionNumber,
      pgDumpVersion: parts.toolVersion,
      encoding: facts.encoding,
      collate: facts.collate,
      ctype: facts.ctype,
      localeProvider: facts.localeProvider,
      icuLocale: facts.icuLocale,
      standby: snapshot.standby,
      databaseBytes: facts.databaseBytes,
      indexBytes: facts.indexBytes,
      ...(facts.toastCompression === null ? {} : { toastCompression: facts.toastCompression }),
    },
    snapshot: { takenAt: snapshot.takenAt.toISOString(), walPosition: snapshot.walPosition },
    startedAt: parts.startedAt.toISOString(),
    finishedAt: parts.finishedAt.toISOString(),
    dumpOptions: {
      compressionLevel: request.compressionLevel,
      jobs: parts.jobs,
      excludeTables: [...request.excludeTables],
      excludeTableData: [...request.excludeTableData],
    },
    object: { name: names.dump, bytes: result.bytes, rawBytes: result.rawBytes, sha256: result.sha256 },
    privileges: privileges ? { name: names.privileges, bytes: privileges.length, sha256: sha256(privileges) } : null,
    globals: globals
      ? {
          name: names.globals,
          bytes: globals.file.length,
          sha256: sha256(globals.file),
          rolePasswords: globals.rolePasswords,
        }
      : null,
    chunks: result.chunks,
    tables: result.tables,
    sequences: result.sequences,
    ...parts.contents,
    encryption: null,
    ...(request.safety === true ? { safety: true } : {}),
  };
}

/** What the journal keeps of a manifest, and reports. */
export function sealedBackupOf(manifest: Manifest, manifestSha256: string): SealedBackup {
  const { object, source, snapshot, tables, privileges, safety, adopted } = manifest;
  return {
    objectName: object.name,
    bytes: object.bytes,
    rawBytes: object.rawBytes,
    sha256: object.sha256,
    manifestSha256,
    rows: tables.reduce((sum, table) => sum + table.rows, 0),
    tables: tables.length,
    snapshotAt: snapshot.takenAt,
    serverVersion: source.serverVersion,
    pgDumpVersion: source.pgDumpVersion,
    databaseBytes: source.databaseBytes,
    hasPrivileges: privileges !== null,
    ...(safety === true ? { safety } : {}),
    ...(adopted ? { adopted: true } : {}),
  };
}

/** Hex, as manifests and journal say it. */
export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * A manifest as it is stored: JSON with each of its parts on a line of its own, so that grep finds it.
 * @param name for errors
 * @throws CoreError `ManifestInvalid` where it could not be read back: better no backup than one that nobody can use
 */
export function manifestText(manifest: Manifest, name: string): Buffer {
  checkManifest(manifest, name);
  // Twice over short pieces: once for the size, since text as long as the whole would stand in memory beside the bytes.
  let size = 0;
  for (const piece of textPieces(manifest)) size += Buffer.byteLength(piece);
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const piece of textPieces(manifest)) at += bytes.write(piece, at);
  return bytes;
}

function* textPieces(manifest: Manifest): Generator<string> {
  let before = '{\n';
  for (const [key, value] of Object.entries(manifest)) {
    if (value === undefined) continue;
    yield `${before}${JSON.stringify(key)}:`;
    before = ',\n';
    if (Array.isArray(value)) {
      for (const [at, entry] of value.entries()) yield `${at === 0 ? '[' : ','}${JSON.stringify(entry)}`;
      yield value.length === 0 ? '[]' : ']';
    } else yield JSON.stringify(value);
  }
  yield '\n}\n';
}
