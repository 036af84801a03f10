import { isLoopback } from '@strideiq/core';
import { AgentError } from '../errors.ts';

/**
 * Sees to it that no credential goes unencrypted over a network, unless the host's file says so by name.
 * @throws AgentError `PlainTextRefused`
 */
export function checkEncrypted(url: string, allowPlainText: boolean): void {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:' || allowPlainText || isLoopback(hostname)) return;
  throw new AgentError(
    'PlainTextRefused',
    `${url} is not encrypted: on the way to ${hostname} anyone could read this host's credential, and speak for it.`,
    'Use https://, or say `controlPlane: { url: …, allowPlainText: true }` in agent.yaml where the network itself is trusted.',
  );
}
