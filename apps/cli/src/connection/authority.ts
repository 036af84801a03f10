import { paragraphOf } from '@strideiq/core';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { CliError } from '../errors.ts';

/**
 * Lets this process trust a certificate authority of the user's own, beside those that it trusts anyway.
 * @throws CliError `FileUnusable`
 */
export function trustAuthority(file: string): void {
  if (!('setDefaultCACertificates' in tls)) {
    throw new CliError(
      'FileUnusable',
      `Node.js ${process.version} cannot take the certificate authority in ${file} on the way.`,
      `Use 24.5 or newer, or start strideiq with NODE_EXTRA_CA_CERTS=${file}.`,
    );
  }
  let certificate: string;
  try {
    certificate = readFileSync(file, 'utf8');
    tls.createSecureContext({ ca: certificate });
  } catch (error) {
    throw unusable(file, paragraphOf(error), error);
  }
  // A text without any certificate makes a context that trusts nobody, and no error.
  if (!certificate.includes('-----BEGIN CERTIFICATE-----')) throw unusable(file, 'it holds no certificate');
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), certificate]);
}

function unusable(file: string, why: string, cause?: unknown): CliError {
  return new CliError(
    'FileUnusable',
    `The certificate authority in ${file} cannot be used: ${why}.`,
    'It must be a file with certificates in PEM.',
    { cause },
  );
}
