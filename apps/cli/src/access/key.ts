import { paragraphOf } from '@strideiq/core';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { CliError } from '../errors.ts';
import { askHidden } from './ask-hidden.ts';

/** Where a key may come from. Never from the command line, which everyone on the machine can read. */
export interface KeySources {
  /** `-`: standard input. */
  keyFile?: string;
  env: NodeJS.ProcessEnv;
  signal: AbortSignal;
}

/**
 * The key to log in with: from the file, from STRIDEIQ_KEY, or asked for.
 * @throws CliError `KeyUnusable`, `UsageInvalid` where there is nobody to ask, `Interrupted`
 */
export async function keyFrom({ keyFile, env, signal }: KeySources): Promise<string> {
  if (keyFile === '-') return checkedKey(await text(process.stdin), 'standard input');
  if (keyFile !== undefined) return checkedKey(readKeyFile(keyFile), keyFile);
  if (env['STRIDEIQ_KEY']) return checkedKey(env['STRIDEIQ_KEY'], 'STRIDEIQ_KEY');
  if (!process.stdin.isTTY) {
    throw new CliError(
      'UsageInvalid',
      'There is no key, and no terminal to ask for one.',
      'Give one by --key-file FILE (- for standard input) or by STRIDEIQ_KEY.',
    );
  }
  return checkedKey(await askHidden('API key: ', signal), 'what was typed');
}

/**
 * A key without the spaces and line breaks around it.
 * @param from where it stood; the key itself is never told
 * @throws CliError `KeyUnusable`
 */
export function checkedKey(said: string, from: string): string {
  const key = said.trim();
  if (/^siq_[\w-]{20,100}$/.test(key)) return key;
  throw new CliError(
    'KeyUnusable',
    `${from === 'what was typed' ? 'What was typed' : from} ${key === '' ? 'is empty' : 'is not an API key'}.`,
    'A key looks like siq_ and 43 letters; the first one is in admin.key in the data directory of the control plane.',
  );
}

function readKeyFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError('KeyUnusable', `The key file cannot be read: ${paragraphOf(error)}.`, 'Check --key-file.', {
      cause: error,
    });
  }
}
