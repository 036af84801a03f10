import { isLoopback } from '@strideiq/core';
import { CliError } from '../errors.ts';

/**
 * The control plane's address as it is kept: with its scheme, and without a slash at its end. Said without a scheme it
 * is https, and plain http on this very machine.
 * @throws CliError `AddressWrong`, or `PlainTextRefused` where the key would cross a network unencrypted
 */
export function addressOf(said: string, { allowPlainText }: { allowPlainText: boolean }): string {
  const url = parsed(said);
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new CliError(
      'AddressWrong',
      `The address ${url.origin}${url.pathname} has a user, a query or a fragment with it.`,
      'Give the address alone: https://backup.example.com. The key comes from --key-file, STRIDEIQ_KEY or a question.',
    );
  }
  if (url.protocol === 'http:' && !allowPlainText && !isLoopback(url.hostname)) {
    throw new CliError(
      'PlainTextRefused',
      `${url.origin} is not encrypted: anyone on the way could read the key.`,
      'Use https://, or say --allow-plain-text where the network itself is trusted.',
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function parsed(said: string): URL {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(said) ? '' : 'https://';
  const text = scheme + said;
  if (URL.canParse(text)) {
    const url = new URL(text);
    if (scheme !== '' && isLoopback(url.hostname)) return new URL(`http://${said}`);
    if ((url.protocol === 'http:' || url.protocol === 'https:') && url.hostname !== '') return url;
  }
  throw new CliError(
    'AddressWrong',
    `${JSON.stringify(said)} is not the address of a control plane.`,
    'It looks like https://backup.example.com, or http://127.0.0.1:8080 on its own machine.',
  );
}
