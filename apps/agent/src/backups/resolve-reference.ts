import { CoreError, idSchema, momentOfBefore, type BackupNames, fixedNames, parseBackupName } from '@strideiq/core';
import { AgentError } from '../errors.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import {
  findBackups,
  manifestKeyOf,
  readManifest,
  type FoundBackup,
  type FoundManifest,
  type TellUnreachable,
} from './find-backups.ts';

/** A backup's object, found and ready to be read. */
export interface BackupSource {
  opened: OpenedStore;
  dumpKey: string;
  sizeBytes: number;
  /** Undefined for a dump that no agent made, or whose manifest is gone or cannot be read. */
  found: FoundManifest | undefined;
  /** Why the manifest that is there cannot be read. */
  unreadable?: string;
  /** The database whose backup was asked for, where REF was looked up among its own. */
  databaseId?: string;
}

/** Opens the folder or bucket of a path or an `s3://` URL that no configured store holds. */
export type OpenPlace = (reference: string) => Promise<{ opened: OpenedStore; key: string } | undefined>;

/**
 * Finds what REF names: a backup id, an object name, a path, an `s3://` URL, `latest` (contract.md), or `before:TIME`. Of
 * several copies the first store's is taken.
 * @param nowMs a backup dated in the future never counts as the latest
 * @throws AgentError `BackupNotFound`; CoreError `ReferenceInvalid`
 */
export async function resolveReference(
  reference: string,
  stores: readonly OpenedStore[],
  openPlace: OpenPlace,
  nowMs: number,
  tellUnreachable?: TellUnreachable,
): Promise<BackupSource> {
  const place = reference.includes('/') ? await openPlace(reference) : undefined;
  if (place) return sourceOf(place.opened, place.key, reference);
  if (idSchema.safeParse(reference).success) return byId(reference, stores, tellUnreachable);
  const before = momentOfBefore(reference);
  const backups = await findBackups(stores, tellUnreachable);
  if (reference === 'latest' || before) {
    const source = await newestOf(backups, before ? { beforeMs: before.getTime() } : { untilMs: nowMs });
    if (source) return source;
    throw notFound(reference, stores, backups);
  }
  if (reference === fixedNames.latestDump) {
    for (const opened of stores) {
      if (await opened.store.head(reference)) return sourceOf(opened, reference, reference);
    }
  }
  const stem = parseBackupName(reference)?.names.stem ?? reference;
  const named = backups.find((backup) => backup.names.stem === stem);
  if (named?.copies.some((copy) => copy.sizeBytes !== undefined)) return firstCopy(named);
  throw notFound(reference, stores, backups);
}

function isWhole(backup: FoundBackup): boolean {
  return backup.copies.some((copy) => copy.hasManifest && copy.sizeBytes !== undefined);
}

/**
 * None that was made just before its database was replaced: whoever replaces it by the latest, and has to try again, does not
 * mean what was to be replaced.
 * @param beforeMs of the moment that the data are of, which is a little later than the one in a backup's name
 * @param untilMs of the one in its name
 */
async function newestOf(
  backups: readonly FoundBackup[],
  { beforeMs = Number.POSITIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY }: { beforeMs?: number; untilMs?: number },
): Promise<BackupSource | undefined> {
  for (const backup of backups) {
    const at = backup.at.getTime();
    if (at > untilMs || at >= beforeMs || !isWhole(backup)) continue;
    const source = await firstCopy(backup);
    const { snapshot, safety } = source.found?.manifest ?? {};
    if (safety !== true && (snapshot === undefined || Date.parse(snapshot.takenAt) < beforeMs)) return source;
  }
  return undefined;
}

/** A copy whose manifest can be read before one whose can not, or that has none. */
async function firstCopy(backup: FoundBackup): Promise<BackupSource> {
  const present = backup.copies.filter((copy) => copy.sizeBytes !== undefined);
  let first: BackupSource | undefined;
  for (const copy of present) {
    const source = await sourceOf(copy.opened, copy.dumpKey, copy.dumpKey);
    if (source.found) return source;
    first ??= source;
  }
  if (!first) throw notFound(backup.names.stem, [], []);
  return first;
}

async function byId(
  id: string,
  stores: readonly OpenedStore[],
  tellUnreachable?: TellUnreachable,
): Promise<BackupSource> {
  const backups = await findBackups(stores, tellUnreachable);
  for (const { copies } of backups) {
    for (const copy of copies.filter((each) => each.hasManifest && each.sizeBytes !== undefined)) {
      const found = await readManifest(copy.opened, manifestKeyOf(copy.dumpKey)).catch(() => undefined);
      if (found?.manifest.backupId === id) return sourceOf(copy.opened, copy.dumpKey, id);
      // Every copy of one name is one backup: reading another's manifest tells nothing new.
      if (found) break;
    }
  }
  throw notFound(id, stores, backups);
}

/**
 * The backup whose dump stands under a name in one store, with the manifest beside it.
 * @throws AgentError `BackupNotFound`
 */
export async function sourceOf(opened: OpenedStore, dumpKey: string, reference = dumpKey): Promise<BackupSource> {
  const object = await opened.store.head(dumpKey);
  if (!object) throw notFound(reference, [opened], []);
  const manifestKey = manifestKeyOf(dumpKey);
  const source = { opened, dumpKey, sizeBytes: object.sizeBytes };
  if (manifestKey === dumpKey || !(await opened.store.head(manifestKey))) return { ...source, found: undefined };
  try {
    return { ...source, found: await readManifest(opened, manifestKey) };
  } catch (error) {
    if (!(error instanceof CoreError && error.code === 'ManifestInvalid')) throw error;
    return { ...source, found: undefined, unreadable: error.message };
  }
}

function notFound(reference: string, stores: readonly OpenedStore[], backups: readonly FoundBackup[]): AgentError {
  const places = stores.map(({ store }) => store.location).join(', ');
  const newest: BackupNames | undefined = backups[0]?.names;
  return new AgentError(
    'BackupNotFound',
    `No backup ${JSON.stringify(reference)} was found${places === '' ? '' : ` in ${places}`}.`,
    newest
      ? `The newest one is ${newest.stem}; \`strideiq-agent list\` shows all.`
      : '`strideiq-agent list` shows what is there.',
  );
}
