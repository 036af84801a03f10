import { CoreError } from './errors.ts';

/** Names that stand beside the backups in every prefix (contract.md, "On the bucket or disk"). */
export const fixedNames = {
  latestDump: 'LATEST.sql.gz',
  latestManifest: 'LATEST.manifest.json',
  recover: 'RECOVER.txt',
  owner: 'strideiq-owner.json',
} as const;

/** What people put into a store to have it restored, and nothing else. */
export const uploadPrefix = 'uploads/';
const uploadForm = /^uploads\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.sql\.gz$/;

/** Name of a dump that somebody puts into a store from outside, to have it restored from there. */
export function uploadKey(uploadId: string): string {
  return `${uploadPrefix}${uploadId}.sql.gz`;
}

export function isUploadKey(key: string): boolean {
  return uploadForm.test(key);
}

/** The objects of one backup; keys are relative to the store's prefix. */
export interface BackupNames {
  /** What they share, `running_app_20260111_030000`. */
  stem: string;
  dump: string;
  manifest: string;
  privileges: string;
  /** What belongs to the whole server. No restore of ours reads it. */
  globals: string;
}

const ending = {
  dump: '.sql.gz',
  manifest: '.manifest.json',
  privileges: '.privileges.sql.gz',
  globals: '.globals.sql.gz',
} as const;

/** A name that can stand in a file name, an object key and a URL unchanged. Also the rule for names in the host's file. */
export const safeName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** What four digits of a year can say. */
const firstMoment = Date.parse('0000-01-01T00:00:00Z');
const lastMoment = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * Names of a backup of `database` begun at `at`, in UTC to the second.
 * @throws CoreError `ObjectNameInvalid` for a name that is no {@link safeName}, or a moment without a four-digit year
 */
export function backupNames(database: string, at: Date): BackupNames {
  if (!safeName.test(database)) {
    throw new CoreError(
      'ObjectNameInvalid',
      `The database name ${JSON.stringify(database)} cannot stand in an object's name.`,
      'Use letters, digits, dot, dash and underscore, beginning with a letter or digit.',
    );
  }
  if (!(at.getTime() >= firstMoment && at.getTime() <= lastMoment)) {
    throw new CoreError(
      'ObjectNameInvalid',
      `A backup of ${database} cannot be named after ${String(at)}, which is outside the years 0000 to 9999.`,
      "Set the host's clock.",
    );
  }
  const [day, time] = at.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').split('T');
  return namesOf(`${database}_${day}_${time}`);
}

function namesOf(stem: string): BackupNames {
  return {
    stem,
    dump: stem + ending.dump,
    manifest: stem + ending.manifest,
    privileges: stem + ending.privileges,
    globals: stem + ending.globals,
  };
}

/** What a key tells of itself. */
export interface ParsedName {
  kind: keyof typeof ending;
  database: string;
  at: Date;
  names: BackupNames;
}

const backupName =
  /^(.+)_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)((?:\.privileges|\.globals)?\.sql\.gz|\.manifest\.json)$/;

/** Reads a key made by {@link backupNames}, or by the old scripts, which named theirs alike; undefined for any other. */
export function parseBackupName(key: string): ParsedName | undefined {
  const match = backupName.exec(key);
  if (!match) return undefined;
  const [, database = '', year, month, day, hour, minute, second, end] = match;
  const at = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(at.getTime()) || !safeName.test(database)) return undefined;
  // 20260231 would be read as March: only a date that prints back to itself is one.
  const names = backupNames(database, at);
  const kind = (Object.keys(ending) as (keyof typeof ending)[]).find((each) => ending[each] === end);
  if (kind === undefined || names[kind] !== key) return undefined;
  return { kind, database, at, names };
}
