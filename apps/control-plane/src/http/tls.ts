import { ConfigurationError, readSecretFile } from '@strideiq/configuration';
import { createSecureContext } from 'node:tls';

/**
 * Reads certificate and key, and sees whether they belong together.
 * @throws ConfigurationError `SecretUnavailable`, `ConfigurationInvalid`
 */
export async function readTls({ certFile, keyFile }: { certFile: string; keyFile: string }) {
  const [cert, key] = await Promise.all([
    readSecretFile(certFile, "the server's certificate"),
    readSecretFile(keyFile, "the certificate's private key"),
  ]);
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    throw new ConfigurationError(
      'ConfigurationInvalid',
      `The certificate in ${certFile} and the key in ${keyFile} cannot be used together: ${(cause as Error).message}.`,
      'Both must be PEM, the certificate first of its chain, and the key its own and without a passphrase.',
      { cause },
    );
  }
  return { cert, key };
}
