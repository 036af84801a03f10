import { fixedNames, isUploadKey, parseBackupName } from './object-names.ts';

/** How what a store holds differs from what is known of it. */
export const driftKinds = ['missing', 'resized', 'changed', 'unmanaged', 'unknown', 'incomplete', 'foreign'] as const;
export type DriftKind = (typeof driftKinds)[number];

export interface Drift {
  kind: DriftKind;
  /** Of the dump where it is about a backup, below the store's prefix. */
  key: string;
  /** A sentence for people. */
  text: string;
}

/** An object as a listing has it. */
export interface ListedObject {
  key: string;
  sizeBytes: number;
  /** Milliseconds since 1970, by the store's clock. */
  modifiedAt: number;
}

/** A copy that should stand in the store. */
export interface ExpectedCopy {
  /** Of the dump. */
  key: string;
  /** Null where nobody knows. */
  sizeBytes: number | null;
  /** As it was seen first; null where it was never seen. */
  modifiedAt: number | null;
}

export interface DriftInput {
  now: number;
  objects: readonly ListedObject[];
  /** Copies that should stand there. */
  expected: readonly ExpectedCopy[];
  /** Keys of dumps that are known and need not stand there: those that are on their way in or out, were removed, or failed. */
  known: ReadonlySet<string>;
}

/** What is younger may belong to a backup that is being made, or that nobody has told of yet. */
const youngMs = 10 * 60_000;

const ownNames: readonly string[] = Object.values(fixedNames);

/**
 * Compares a listing of a store with what should be in it. Bytes that were changed under the same size show by their
 * date alone, as backups are never written over; reading back tells the rest.
 */
export function driftOf({ now, objects, expected, known }: DriftInput): Drift[] {
  const listed = new Map(objects.map((object) => [object.key, object]));
  const expectedKeys = new Set(expected.map(({ key }) => key));
  const ofCopies = expected.flatMap((copy) => driftOfCopy(copy, listed));
  const drift: Drift[] = [];
  const told = new Set<string>();
  for (const { key, sizeBytes, modifiedAt } of objects) {
    if (ownNames.includes(key) || isUploadKey(key)) continue;
    const parsed = parseBackupName(key);
    if (!parsed) {
      drift.push({ kind: 'foreign', key, text: `${key} (${sizeBytes} bytes) is none of our objects.` });
      continue;
    }
    const { names } = parsed;
    if (expectedKeys.has(names.dump) || known.has(names.dump) || told.has(names.dump)) continue;
    if (modifiedAt > now - youngMs) continue;
    told.add(names.dump);
    const [hasDump, hasManifest] = [listed.has(names.dump), listed.has(names.manifest)];
    if (hasDump && hasManifest) {
      drift.push({
        kind: 'unknown',
        key: names.dump,
        text: `${names.dump} is a backup with a manifest that nobody here has told of.`,
      });
    } else if (hasDump) {
      drift.push({
        kind: 'unmanaged',
        key: names.dump,
        text: `${names.dump} has no manifest: a dump of the old scripts, or of somebody else's. \`strideiq-agent adopt\` takes it in.`,
      });
    } else {
      drift.push({
        kind: 'incomplete',
        key: names.dump,
        text: `${key} is there, and the dump that it belongs to is not.`,
      });
    }
  }
  // What is wrong with a copy comes before what is only strange, however much of that there is.
  return [...ofCopies.toSorted(byKey), ...drift.toSorted(byKey)];
}

function byKey(one: Drift, other: Drift): number {
  return one.key === other.key ? 0 : one.key < other.key ? -1 : 1;
}

function driftOfCopy({ key, sizeBytes, modifiedAt }: ExpectedCopy, listed: ReadonlyMap<string, ListedObject>): Drift[] {
  const object = listed.get(key);
  if (!object) return [{ kind: 'missing', key, text: `${key} is not there any more.` }];
  if (sizeBytes !== null && object.sizeBytes !== sizeBytes) {
    return [{ kind: 'resized', key, text: `${key} has ${object.sizeBytes} bytes, and was made with ${sizeBytes}.` }];
  }
  const manifest = parseBackupName(key)?.names.manifest;
  if (manifest !== undefined && !listed.has(manifest)) {
    return [{ kind: 'incomplete', key, text: `${key} is there, and its manifest ${manifest} is not.` }];
  }
  if (modifiedAt !== null && object.modifiedAt !== modifiedAt) {
    const when = new Date(object.modifiedAt).toISOString();
    return [
      { kind: 'changed', key, text: `${key} was written again at ${when}, which no backup of ours is: read it back.` },
    ];
  }
  return [];
}
