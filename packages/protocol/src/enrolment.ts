import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { z } from 'zod';

/** What an agent sends to trade a one-time token for a credential of its own: a POST to `enrolPath`. */
export const enrolRequestSchema = z.object({
  token: z.string().min(1).max(200),
  /** As agent.yaml says; the token is bound to one, and is not used up where they differ. */
  environment: z.string().min(1).max(200),
  hostname: z.string().min(1).max(300),
  agentVersion: z.string().min(1).max(100),
  /** Ed25519, SPKI, PEM: the control plane pins it. The same key enrolled again is the same agent. */
  publicKeyPem: z.string().min(1).max(2000),
  /** {@link enrolmentProof}: public keys are no secret, and whoever enrols one must have its other half. */
  proof: z.base64().max(200),
});
export type EnrolRequest = z.infer<typeof enrolRequestSchema>;

export const enrolAnswerSchema = z.object({
  agentId: z.string(),
  environment: z.string(),
  /** Shown this once; sent as `Authorization: Bearer …` with every connection. */
  credential: z.string(),
});
export type EnrolAnswer = z.infer<typeof enrolAnswerSchema>;

/** Of what the proof is: a signature made for something else, with the same key, is never taken for it. */
const domain = 'strideiq-enrol-v1';

/**
 * Shows that who holds the token also holds the private key: an Ed25519 signature over both, base64.
 * @param privateKeyPem PKCS 8
 */
export function enrolmentProof(token: string, privateKeyPem: string): string {
  const key = createPrivateKey(privateKeyPem);
  return sign(null, provenBytes(token), key).toString('base64');
}

/** Whether `proof` was made for this token by the owner of the key; false also where the key is no Ed25519 key. */
export function isEnrolmentProof(proof: string, token: string, publicKeyPem: string): boolean {
  try {
    const key = createPublicKey(publicKeyPem);
    return key.asymmetricKeyType === 'ed25519' && verify(null, provenBytes(token), key, Buffer.from(proof, 'base64'));
  } catch {
    return false;
  }
}

function provenBytes(token: string): Buffer {
  return Buffer.from(`${domain}\n${token}`);
}
