import { isLoopback } from '@strideiq/core';

/**
 * A URL that something of ours is sent to.
 * @throws Error where it is none, or would have it read by anyone on the way
 */
export function outgoingUrl(text: string, allowPlainText: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) throw new Error('Its URL is none.');
  if (url.protocol === 'http:' && !allowPlainText && !isLoopback(url.hostname))
    throw new Error(`http://${url.host} would be told in the clear: use https.`);
  return url;
}
