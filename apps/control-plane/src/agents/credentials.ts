import { createHash, randomBytes } from 'node:crypto';

/** Secrets that the control plane gives out: 256 random bits, of which the catalog holds the hash alone. */

export const enrolTokenPrefix = 'siqe_';
export const credentialPrefix = 'siqa_';

export function newSecret(prefix: string): string {
  return prefix + randomBytes(32).toString('base64url');
}

/**
 * By which a secret is known: SHA-256, hex. Looked up as a whole by an index, so that how long the answer takes tells
 * nothing of secrets that are near.
 */
export function secretHash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
