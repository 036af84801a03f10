import { readFile } from 'node:fs/promises';
import { ConfigurationError } from './errors.ts';

/** Reads one secret; undefined where neither file nor variable is named. */
export async function secretOf(
  file: string | undefined,
  variable: string | undefined,
  env: NodeJS.ProcessEnv,
  what: string,
): Promise<string | undefined> {
  if (variable !== undefined) {
    const value = nonEmpty(env[variable]);
    if (value !== undefined) return value;
    const problem = `The environment variable ${variable}, which should hold ${what}, is not set.`;
    throw new ConfigurationError(
      'SecretUnavailable',
      problem,
      `Set it where the program is started, or name a file instead.`,
    );
  }
  return file === undefined ? undefined : readSecretFile(file, what);
}

/** The text of a file without the newline at its end. */
export async function readSecretFile(file: string, what: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const cure =
      code === 'ENOENT'
        ? `Write it there alone on a line, readable by its user only: chmod 600 ${file}`
        : `Let the user that runs the program read it: chown and chmod 600 ${file}`;
    throw new ConfigurationError(
      'SecretUnavailable',
      `The file that should hold ${what} cannot be read: ${message}.`,
      cure,
      { cause },
    );
  }
  if (text !== '') return text;
  throw new ConfigurationError(
    'SecretUnavailable',
    `${file}, which should hold ${what}, is empty.`,
    'Write it there alone on a line.',
  );
}

/** A secret as it stands in texts: as it is, and as it is written in a URL. */
export function formsOfSecret(secret: string): string[] {
  return [...new Set([secret, encodeURIComponent(secret)])];
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
