import { closeSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ControlPlaneError } from '../errors.ts';
import { keyForm, newKeyText, type ApiKeys } from './api-keys.ts';

export const adminKeyFile = 'admin.key';

/**
 * Makes the first key, for whoever starts a control plane that has none yet: an admin's for every environment, in a file
 * that only this user can read. The file comes first: a start that dies in between leaves a key that the next one takes
 * on, and never a key whose text nobody has. A file that is there already is taken as it is.
 * @returns the file, or undefined where there are keys already
 * @throws ControlPlaneError `DataUnusable` for a file that cannot be written, or that holds no key
 */
export function makeFirstAdminKey(keys: ApiKeys, dataDir: string): string | undefined {
  if (keys.list().length > 0) return undefined;
  const file = join(dataDir, adminKeyFile);
  const key = readKey(file) ?? writeKey(file, newKeyText());
  keys.register(key, { name: 'first admin', role: 'admin', environments: null, expiresAt: null }, 'local');
  return file;
}

function readKey(file: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(file, (cause as Error).message, cause);
  }
  if (keyForm.test(text)) return text;
  throw unusable(file, 'it is there already and holds no key');
}

/** Whole or not at all, and never over a file that somebody else has made. */
function writeKey(file: string, key: string): string {
  const partial = `${file}.${process.pid}.partial`;
  try {
    const handle = openSync(partial, 'wx', 0o600);
    try {
      writeFileSync(handle, `${key}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    linkSync(partial, file);
    return key;
  } catch (cause) {
    throw unusable(file, (cause as Error).message, cause);
  } finally {
    rmSync(partial, { force: true });
  }
}

function unusable(file: string, why: string, cause?: unknown): ControlPlaneError {
  return new ControlPlaneError(
    'DataUnusable',
    `The first admin's key cannot be kept in ${file}: ${why}.`,
    'Take that file away, and see to it that this user may write there; then start again.',
    { cause },
  );
}
