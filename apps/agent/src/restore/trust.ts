import { isSignedBy, type Manifest, type SigningKey } from '@strideiq/core';
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
export function judgeTrust({ found, dumpKey, sizeBytes }: BackupSource, key: SigningKey, journal: Journal): Trust {
  if (!found) return { trusted: false, manifest: undefined, because: `${dumpKey} has no manifest` };
  const { manifest, json, sha256 } = found;
  if (manifest.object.bytes !== sizeBytes) {
    throw new AgentError(
      'VerificationFailed',
      `${dumpKey} holds ${sizeBytes} bytes, and its manifest says ${manifest.object.bytes}: it is not the file that was made.`,
      'Restore from another copy or another backup; `strideiq-agent list` shows them.',
    );
  }
  if (isSignedBy(json, key.publicPem)) return { trusted: true, manifest, because: 'signature' };
  if (journal.knowsManifest(manifest.backupId, sha256)) return { trusted: true, manifest, because: 'journal' };
  const because = manifest.signature
    ? `its manifest is signed by another key than this host's (key ${manifest.signature.keyId.slice(0, 16)}), or was changed after it was signed`
    : 'its manifest is not signed';
  return { trusted: false, manifest, because };
}

/**
 * What is not trusted runs only without superuser rights, or when the person says so.
 * @throws AgentError `SourceUntrusted`
 */
export function checkTrust(trust: Trust, superuser: boolean, trustSource: boolean, dumpKey: string): void {
  if (trust.trusted || trustSource || !superuser) return;
  throw new AgentError(
    'SourceUntrusted',
    `${dumpKey} is not trusted: ${trust.because}. Its SQL would run with superuser rights.`,
    'Restore with a role that is no superuser, or, if you know where this file comes from, say --trust-source.',
  );
}
