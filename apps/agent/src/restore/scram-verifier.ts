import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

const iterations = 4096;

/**
 * What PostgreSQL keeps of a password (RFC 5803, and `scram_build_secret` in src/common/scram-common.c). Sent in its place,
 * so that the password itself stands in no statement, and thus in no log of the server's.
 * @param password ASCII alone, which SASLprep leaves as it is
 */
export async function scramVerifierOf(password: string): Promise<string> {
  const salt = randomBytes(16);
  const salted = await promisify(pbkdf2)(password, salt, iterations, 32, 'sha256');
  const keyOf = (name: string): Buffer => createHmac('sha256', salted).update(name).digest();
  const stored = createHash('sha256').update(keyOf('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${keyOf('Server Key').toString('base64')}`;
}
