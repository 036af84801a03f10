import { codeOf, paragraphOf } from '@strideiq/core';
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { CliError } from '../errors.ts';

/** One control plane, and the key by which it is asked. */
const contextSchema = z.object({
  url: z.string(),
  key: z.string(),
  /** File of the certificate authority that vouches for it, where the system does not know it. */
  ca: z.string().optional(),
  allowPlainText: z.boolean().optional(),
});
export type Context = z.infer<typeof contextSchema>;

const credentialsSchema = z.object({
  version: z.literal(1),
  /** The context that is meant where none is named. */
  current: z.string().optional(),
  contexts: z.record(z.string(), contextSchema),
});
export type Credentials = z.infer<typeof credentialsSchema>;

/** Where they are kept (XDG Base Directory Specification: a path that is not absolute counts as none). */
export function credentialsFileOf(env: NodeJS.ProcessEnv): string {
  const said = env['XDG_CONFIG_HOME'];
  const base = said !== undefined && isAbsolute(said) ? said : join(env['HOME'] || homedir(), '.config');
  return join(base, 'strideiq', 'credentials.json');
}

/**
 * What was kept by `login`; nothing where there is no file.
 * @param warn told where others may read it
 * @throws CliError `CredentialsUnusable`
 */
export function readCredentials(file: string, warn: (text: string) => void): Credentials {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
    if ((statSync(file).mode & 0o077) !== 0) {
      warn(`${file} can be read by others on this machine: chmod 600 it, and have new keys made for what it holds.`);
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { version: 1, contexts: {} };
    throw unusable(file, paragraphOf(error), error);
  }
  try {
    return credentialsSchema.parse(JSON.parse(text));
  } catch {
    // Its words are not told: they could hold a piece of a key.
    throw unusable(file, 'it is not as `strideiq login` writes it.');
  }
}

/**
 * Keeps them, so that a crash leaves either the old file or the new one.
 * @throws CliError `CredentialsUnusable`
 */
export function writeCredentials(file: string, credentials: Credentials): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const temporary = `${file}.${randomUUID()}.tmp`;
    const descriptor = openSync(temporary, 'wx', 0o600);
    try {
      writeSync(descriptor, `${JSON.stringify(credentials, undefined, 2)}\n`);
      fsyncSync(descriptor);
      renameSync(temporary, file);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw unusable(file, paragraphOf(error), error);
  }
}

function unusable(file: string, why: string, cause?: unknown): CliError {
  return new CliError(
    'CredentialsUnusable',
    `The credentials in ${file} cannot be used: ${why}`,
    'Put it right, or take it away and log in again; XDG_CONFIG_HOME names another place.',
    { cause },
  );
}
