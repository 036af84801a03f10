import { newSigningKey, publicPemOf, type SigningKey } from '@strideiq/core';
import { makeOwnDirectory } from '@strideiq/sqlite';
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../errors.ts';

/**
 * The agent's key, made at its first start; its private half never leaves the host.
 * @throws AgentError `StateUnusable`
 */
export function loadSigningKey(stateDir: string): SigningKey {
  const file = join(stateDir, 'signing-key.pem');
  try {
    makeOwnDirectory(stateDir);
    const privatePem = readIfThere(file) ?? makeKey(file);
    return { privatePem, publicPem: publicPemOf(privatePem) };
  } catch (cause) {
    throw new AgentError(
      'StateUnusable',
      `The signing key ${file} cannot be read or made: ${(cause as Error).message}.`,
      'Mend its permissions (0600, owned by the agent’s user). Where it is damaged, put it back from a copy: manifests signed by a new key are not trusted without --trust-source.',
      { cause },
    );
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Linked into place, so that of two first starts at once both end with the same key. */
function makeKey(file: string): string {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, newSigningKey().privatePem, { mode: 0o600, flush: true });
  try {
    linkSync(draft, file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    rmSync(draft);
  }
  return readFileSync(file, 'utf8');
}
