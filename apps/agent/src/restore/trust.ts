import { fixedNames, isSignedBy, keyIdOf, parseBackupName, type Manifest, type SigningKey } from '@strideiq/core';
import type { BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import type { Journal } from '../journal/journal.ts';

/** Why a dump's SQL may run, or may not. */
export type Trust =
  | { trusted: true; manifest: Manifest; because: 'signature' | 'journal' }
  | { trusted: false; manifest: Manifest | undefined; because: string };

/**
 * SQL from a bucket is code. It is trusted when its manifest was signed by this host's key, or is known to this host's
 * journal; every chunk is then checked against that manifest before it runs.
 */
export function judgeTrust(source: BackupSource, key: SigningKey, journal: Journal): Trust {
  const { found, dumpKey, sizeBytes, unreadable } = source;
  if (!found) return { trusted: false, manifest: undefined, because: unreadable ?? `${dumpKey} has no manifest` };
  const { manifest, json, sha256 } = found;
  if (manifest.object.bytes !== sizeBytes) {
    throw new AgentError(
      'VerificationFailed',
      `${dumpKey} holds ${sizeBytes} bytes, and its manifest says ${manifest.object.bytes}: it is not the file that was made.`,
      'Restore from another copy or another backup; `strideiq-agent list` shows them.',
    );
  }
  const misplaced = misplacementOf(source);
  if (misplaced !== undefined) return { trusted: false, manifest, because: misplaced };
  if (isSignedBy(json, key.publicPem)) return { trusted: true, manifest, because: 'signature' };
  if (journal.knowsManifest(manifest.backupId, sha256)) return { trusted: true, manifest, because: 'journal' };
  const because = manifest.signature
    ? `its manifest is signed by another key than this host's (key ${manifest.signature.keyId.slice(0, 16)}), or was changed after it was signed`
    : 'its manifest is not signed';
  return { trusted: false, manifest, because };
}

/**
 * What shows that a good manifest and dump stand where others belong, or undefined: an older backup, or another
 * database's, put under this name would be as well signed as the right one.
 */
export function misplacementOf({ found, dumpKey, databaseId }: BackupSource): string | undefined {
  if (!found) return undefined;
  const { object, database, environment, privileges, ...manifest } = found.manifest;
  if (object.name !== dumpKey && dumpKey !== fixedNames.latestDump)
    return `it was made as ${object.name}, and stands there as ${dumpKey}`;
  if (databaseId !== undefined && manifest.databaseId !== databaseId) {
    return `it is a backup of ${database} of environment ${environment}, not of the database that was asked for`;
  }
  const names = parseBackupName(object.name)?.names;
  if (privileges && names && privileges.name !== names.privileges)
    return `it names ${privileges.name} as its owners and grants`;
  return undefined;
}

/**
 * What shows that a manifest is not the one that this host wrote, or undefined. Another host's manifest is none of ours
 * to judge: it is neither trusted nor forged.
 */
export function forgeryOf(source: BackupSource, key: SigningKey, journal: Journal): string | undefined {
  const { found, dumpKey, unreadable } = source;
  if (!found) {
    const gone = unreadable === undefined && journal.madeBackup(dumpKey);
    return gone ? 'this host made a backup of that name, and its manifest is gone' : undefined;
  }
  const { manifest, json, sha256 } = found;
  if (isSignedBy(json, key.publicPem) || journal.knowsManifest(manifest.backupId, sha256)) return undefined;
  if (manifest.signature?.keyId === keyIdOf(key.publicPem)) return 'the manifest was changed after this host signed it';
  if (journal.wroteManifestOf(manifest.backupId)) return 'the manifest is not the one that this host wrote';
  return undefined;
}

/**
 * What is not trusted runs only without superuser rights, or when the person says so.
 * @throws AgentError `SourceUntrusted`
 */
export function checkTrust(trust: Trust, superuser: boolean, trustSource: boolean, dumpKey: string): void {
  if (trust.trusted || trustSource || !superuser) return;
  throw new AgentError(
    'SourceUntrusted',
    `${dumpKey} is not trusted: ${trust.because.replace(/\.$/, '')}. Its SQL would run with superuser rights.`,
    'Restore with a role that is no superuser, or, if you know where this file comes from, say --trust-source.',
  );
}
