import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { z } from 'zod';
import { canonicalPieces } from './canonical-json.ts';

/** Of what a signature is: one made for something else, with the same key, is never taken for a manifest's. */
const domain = Buffer.from('strideiq-manifest-v1\n');

/**
 * Ed25519 (RFC 8032) over the line `strideiq-manifest-v1` and the SHA-256, as 32 bytes, of the canonical JSON (RFC 8785) of
 * everything but the signature itself.
 */
export const signatureSchema = z.object({
  algorithm: z.literal('Ed25519'),
  /** SHA-256 of the public key (SPKI, DER), hex: which key to look for, never a reason to trust it. */
  keyId: z.string(),
  value: z.base64(),
});
export type Signature = z.infer<typeof signatureSchema>;

/** An agent's key as PEM text: made at its first start, the private half never leaving the host. */
export interface SigningKey {
  privatePem: string;
  publicPem: string;
}

export function newSigningKey(): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

/** The public half of a private key, both PEM. */
export function publicPemOf(privatePem: string): string {
  return createPublicKey(createPrivateKey(privatePem)).export({ type: 'spki', format: 'pem' }).toString();
}

export function keyIdOf(publicPem: string): string {
  const der = createPublicKey(publicPem).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('hex');
}

/**
 * Signs a document, leaving out a signature that it already carries.
 * @throws Error where it holds what canonical JSON cannot: a lone surrogate, NaN
 */
export function signDocument<T extends object>(document: T, key: SigningKey): T & { signature: Signature } {
  const value = sign(null, signedBytes(document), createPrivateKey(key.privatePem)).toString('base64');
  return { ...document, signature: { algorithm: 'Ed25519', keyId: keyIdOf(key.publicPem), value } };
}

/** Whether `json`, as it was read, was signed by the owner of `publicPem`. */
export function isSignedBy(json: unknown, publicPem: string): boolean {
  const carried = z.object({ signature: signatureSchema }).safeParse(json);
  if (!carried.success) return false;
  const publicKey = createPublicKey(publicPem);
  let bytes: Buffer;
  try {
    bytes = signedBytes(json as object);
  } catch {
    // JSON can hold what canonical JSON cannot, such as half a character; nobody can have signed that.
    return false;
  }
  return verify(null, bytes, publicKey, Buffer.from(carried.data.signature.value, 'base64'));
}

/** Hashed piece by piece, since a manifest may hold hundreds of thousands of chunks. */
function signedBytes(document: object): Buffer {
  const { signature: _, ...rest } = document as { signature?: unknown };
  const hash = createHash('sha256');
  for (const piece of canonicalPieces(rest)) hash.update(piece);
  return Buffer.concat([domain, hash.digest()]);
}
