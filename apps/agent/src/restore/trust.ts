import { fixedNames, isSignedBy, keyIdOf, parseBackupName, type Manifest, type SigningKey } from '@strideiq/core';
import type { FoundManifest } from '../backups/find-backups.ts';
import type { BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import type { Journal } from '../journal/journal.ts';
import type { TargetServer } from './target.ts';

/** Why a dump's SQL may run, or may not. */
export type Trust =
  | { trusted: true; manifest: Manifest; because: 'signature' | 'journal' }
  | { trusted: true; manifest: Manifest; because: 'catalog'; asSuperuser: boolean }
  | { trusted: false; manifest: Manifest | undefined; because: string };

/** By what the control plane knows a manifest: its hash, and the key of the agent that made it. */
export interface GivenTrust {
  manifestSha256: string;
  publicKeyPem: string;
  /**
   * Whether that is enough for SQL with superuser rights. Only the host's own file can say so: a control plane that has
   * fallen could name any manifest and any key, and a superuser's SQL runs programs.
   */
  asSuperuser: boolean;
}

/**
 * SQL from a bucket is code. It is trusted when its manifest was signed by this host's key, or is known to this host's
 * journal; every chunk is then checked against that manifest before it runs.
 * @param given where somebody knows the manifest better: then that one is trusted and no other, whoever signed it
 * @throws AgentError `VerificationFailed`; `SourceUntrusted` where it is not the one that was given
 */
export function judgeTrust(source: BackupSource, key: SigningKey, journal: Journal, given?: GivenTrust): Trust {
  const { found, dumpKey, sizeBytes, unreadable } = source;
  if (given && !(found && isGiven(found, given))) throw notTheGiven(source);
  if (!found) return { trusted: false, manifest: undefined, because: unreadable ?? `${dumpKey} has no manifest` };
  const { manifest, json, sha256 } = found;
  if (manifest.object.bytes !== sizeBytes) {
    throw new AgentError(
      'VerificationFailed',
      `${dumpKey} holds ${sizeBytes} bytes, and its manifest says ${manifest.object.bytes}: it is not the file that was made.`,
      'Restore from another copy or another backup; `strideiq-agent list` shows them.',
    );
  }
  // By its signature this host says that these are the bytes it took in, and not what they do.
  if (manifest.adopted) {
    const because = `${dumpKey} was taken in on ${manifest.adopted.at.slice(0, 10)}, and no agent made it`;
    return { trusted: false, manifest: undefined, because };
  }
  const misplaced = misplacementOf(source);
  if (misplaced !== undefined) return { trusted: false, manifest, because: misplaced };
  if (isSignedBy(json, key.publicPem)) return { trusted: true, manifest, because: 'signature' };
  if (journal.knowsManifest(manifest.backupId, sha256)) return { trusted: true, manifest, because: 'journal' };
  if (given) return { trusted: true, manifest, because: 'catalog', asSuperuser: given.asSuperuser };
  const because = manifest.signature
    ? `its manifest is signed by another key than this host's (key ${manifest.signature.keyId.slice(0, 16)}), or was changed after it was signed`
    : 'its manifest is not signed';
  return { trusted: false, manifest, because };
}

/** Both: a hash alone would let whoever can write to a catalog name a manifest of his own. */
function isGiven({ json, sha256 }: FoundManifest, { manifestSha256, publicKeyPem }: GivenTrust): boolean {
  if (sha256 !== manifestSha256) return false;
  try {
    return isSignedBy(json, publicKeyPem);
  } catch {
    // What was given is no key.
    return false;
  }
}

function notTheGiven({ found, dumpKey, unreadable }: BackupSource): AgentError {
  const why = found
    ? 'its manifest is not the one that the control plane has on record'
    : (unreadable ?? 'it has no manifest');
  return new AgentError(
    'SourceUntrusted',
    `${dumpKey} is not the backup that was asked for: ${why.replace(/\.$/, '')}.`,
    'Restore from another copy; find out who may write to that store, and verify what is in it.',
  );
}

/**
 * What shows that a good manifest and dump stand where others belong, or undefined: an older backup, or another
 * database's, put under this name would be as well signed as the right one.
 */
export function misplacementOf({ found, dumpKey, databaseId }: BackupSource): string | undefined {
  if (!found) return undefined;
  const { object, database, environment, privileges, globals, ...manifest } = found.manifest;
  if (object.name !== dumpKey && dumpKey !== fixedNames.latestDump)
    return `it was made as ${object.name}, and stands there as ${dumpKey}`;
  if (databaseId !== undefined && manifest.databaseId !== databaseId) {
    return `it is a backup of ${database} of environment ${environment}, not of the database that was asked for`;
  }
  const names = parseBackupName(object.name)?.names;
  if (privileges && names && privileges.name !== names.privileges)
    return `it names ${privileges.name} as its owners and grants`;
  if (globals && names && globals.name !== names.globals)
    return `it names ${globals.name} as the globals of its server`;
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
 * What is not trusted runs without superuser rights: where the restoring role has them it is refused, and where the person
 * says so it is run by a role made for it, see `untrusted-role.ts`.
 * @returns whether it is to run by such a role
 * @throws AgentError `SourceUntrusted`
 */
export function checkTrust(
  trust: Trust,
  { superuser, isSuperuser, user }: Pick<TargetServer, 'superuser' | 'isSuperuser' | 'user'>,
  trustSource: boolean,
  dumpKey: string,
): boolean {
  if (!superuser) return false;
  const isByCatalogAlone = trust.trusted && trust.because === 'catalog' && !trust.asSuperuser;
  if (trust.trusted && !isByCatalogAlone) return false;
  if (trustSource && isSuperuser) return true;
  if (trustSource) throw cannotMakeRole(dumpKey, user);
  if (trust.trusted) throw notEnoughForSuperuser(dumpKey);
  throw new AgentError(
    'SourceUntrusted',
    `${dumpKey} is not trusted: ${trust.because.replace(/\.$/, '')}. The role ${user} has superuser rights, or can get them.`,
    'Restore with a role that is no superuser, or, if you know where this file comes from, say --trust-source: its SQL then runs by a role without such rights, made for this restore.',
  );
}

function cannotMakeRole(dumpKey: string, user: string): AgentError {
  return new AgentError(
    'SourceUntrusted',
    `${dumpKey} is not trusted, and the role ${user} can get superuser rights without being a superuser: it can neither run that SQL nor make a role that does.`,
    'Restore as a superuser, who makes one for this restore, or by a role that has no such rights and is in no role that has them.',
  );
}

function notEnoughForSuperuser(dumpKey: string): AgentError {
  return new AgentError(
    'SourceUntrusted',
    `${dumpKey} was made by another host, the control plane alone vouches for it, and its SQL would run with superuser rights.`,
    'Restore with a role that is no superuser, or, if the control plane’s word is to be enough on this host, set `controlPlane.trustBackups: true` in its agent.yaml and restart the agent.',
  );
}
