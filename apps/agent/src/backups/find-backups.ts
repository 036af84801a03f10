import { fixedNames, parseBackupName, parseManifest, type BackupNames, type Manifest } from '@strideiq/core';
import { sha256 } from '../backup/manifest.ts';
import { readAll, type StoredObject } from '@strideiq/storage';
import type { OpenedStore } from '../stores/opened-store.ts';

/** A manifest as a store holds it. */
export interface FoundManifest {
  manifest: Manifest;
  /** What the signature covers. */
  json: unknown;
  /** Of the stored bytes: what the journal knows it by. */
  sha256: string;
}

/** A backup's object in one store. */
export interface FoundCopy {
  opened: OpenedStore;
  dumpKey: string;
  /** Undefined where a manifest has no object: such a copy is missing. */
  sizeBytes: number | undefined;
  hasManifest: boolean;
}

/** One backup as the stores show it, by its name. */
export interface FoundBackup {
  names: BackupNames;
  database: string;
  at: Date;
  copies: FoundCopy[];
}

/** Told of a store that cannot be asked, while the others can. */
export type TellUnreachable = (opened: OpenedStore, error: unknown) => void;

/**
 * Backups by the names of their objects, newest first; nothing is read but the listings. A store that cannot be asked
 * must not hide what the others hold.
 * @throws StorageError of the first store, where none can be asked
 */
export async function findBackups(
  stores: readonly OpenedStore[],
  tellUnreachable: TellUnreachable = () => undefined,
): Promise<FoundBackup[]> {
  const failures: unknown[] = [];
  const found = new Map<string, FoundBackup>();
  for (const opened of stores) {
    const copies = new Map<string, FoundCopy>();
    const objects = await listed(opened).catch((error: unknown) => {
      failures.push(error);
      tellUnreachable(opened, error);
      return [];
    });
    for (const object of objects) {
      const parsed = parseBackupName(object.key);
      if (!parsed || parsed.kind === 'privileges' || parsed.kind === 'globals') continue;
      const { names, database, at } = parsed;
      const copy = copies.get(names.stem) ?? { opened, dumpKey: names.dump, sizeBytes: undefined, hasManifest: false };
      if (parsed.kind === 'dump') copy.sizeBytes = object.sizeBytes;
      else copy.hasManifest = true;
      copies.set(names.stem, copy);
      if (!found.has(names.stem)) found.set(names.stem, { names, database, at, copies: [] });
    }
    for (const [stem, copy] of copies) found.get(stem)?.copies.push(copy);
  }
  if (failures.length > 0 && failures.length === stores.length) throw failures[0];
  return [...found.values()].toSorted(
    (a, b) => b.at.getTime() - a.at.getTime() || (a.names.stem < b.names.stem ? 1 : -1),
  );
}

async function listed({ store }: OpenedStore): Promise<StoredObject[]> {
  return Array.fromAsync(store.list());
}

/**
 * Reads the manifest beside a dump.
 * @throws CoreError `ManifestInvalid`, StorageError
 */
export async function readManifest({ store }: OpenedStore, key: string): Promise<FoundManifest> {
  const bytes = await readAll(await store.get(key));
  const { manifest, json } = parseManifest(bytes.toString(), key);
  return { manifest, json, sha256: sha256(bytes) };
}

/** The manifest that belongs to a dump's key, also to LATEST's. */
export function manifestKeyOf(dumpKey: string): string {
  if (dumpKey === fixedNames.latestDump) return fixedNames.latestManifest;
  return parseBackupName(dumpKey)?.names.manifest ?? dumpKey.replace(/\.sql\.gz$/, '.manifest.json');
}
