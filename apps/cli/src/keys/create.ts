import type { Key } from '@strideiq/control-plane/router';
import { paragraphOf } from '@strideiq/core';
import { closeSync, fsyncSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { CliError } from '../errors.ts';
import { momentText } from '../moments.ts';
import type { Command } from '../run-command.ts';
import { environmentsText } from './list.ts';

export interface CreateOptions {
  name: string;
  role: Key['role'];
  environment?: string[];
  allEnvironments?: boolean;
  expires?: string;
  /** Where the key is written in place of the screen. */
  keyFile?: string;
}

/** `keys create`: the key is shown this once, or written to a file. */
export async function createKey({ client, output, now }: Command, options: CreateOptions): Promise<number> {
  const { name, role, environment, allEnvironments = false, expires, keyFile } = options;
  if ((environment === undefined) !== allEnvironments) {
    throw new CliError(
      'UsageInvalid',
      environment === undefined ? 'A key for which environments?' : 'For some environments, or for all?',
      'Say --environment NAME (repeatable), or --all-environments.',
    );
  }
  const file = keyFile === undefined ? undefined : openKeyFile(keyFile);
  try {
    const made = await client.keys.create.mutate({
      name,
      role,
      environments: environment ?? null,
      expiresAt: expires === undefined ? null : momentToCome('--expires', expires, now()),
    });
    const { key, ...rest } = made;
    if (file === undefined) output.result(made, key);
    else {
      await writeKey(file, key, async () => client.keys.revoke.mutate({ keyId: made.id }));
      output.result({ ...rest, keyFile }, `Written to ${keyFile}`);
    }
    const until = made.expiresAt === null ? 'until it is revoked' : `until ${momentText(made.expiresAt)}`;
    output.note(
      `${name}: ${role} of ${environmentsText(made)}, ${until}. It is not shown again. Its id is ${made.id}.`,
    );
    return 0;
  } catch (error) {
    // Nothing of it is left where no key was made.
    if (keyFile !== undefined) rmSync(keyFile, { force: true });
    throw error;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Opened before the key is made: one that cannot be written down would be lost. */
function openKeyFile(file: string): number {
  try {
    return openSync(file, 'wx', 0o600);
  } catch (error) {
    throw new CliError('FileUnusable', `The key file cannot be made: ${paragraphOf(error)}.`, 'Name a new file.', {
      cause: error,
    });
  }
}

/** A key that cannot be written down is nobody's, and must not go on to hold. */
async function writeKey(file: number, key: string, revoke: () => Promise<unknown>): Promise<void> {
  try {
    writeFileSync(file, `${key}\n`);
    fsyncSync(file);
  } catch (error) {
    await revoke();
    throw new CliError(
      'FileUnusable',
      `The key cannot be written down: ${paragraphOf(error)}.`,
      'It was revoked again.',
      {
        cause: error,
      },
    );
  }
}

const unitsMs = { h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 };

/**
 * @param option that says it: named where it is none
 * @param said `90d`, `12h`, `2w`, or a date as ISO 8601 has it
 * @throws CliError `UsageInvalid`
 */
export function momentToCome(option: string, said: string, now: number): string {
  const [, count, unit = 'd'] = /^(\d{1,5})([hdw])$/.exec(said) ?? [];
  const date = /^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d))?$/;
  const at =
    count === undefined
      ? Date.parse(date.test(said) ? said : '')
      : now + Number(count) * unitsMs[unit as keyof typeof unitsMs];
  if (at > now) return new Date(at).toISOString();
  throw new CliError(
    'UsageInvalid',
    `${JSON.stringify(said)} is no moment to come.`,
    `Say ${option} 90d (h, d, w), or a date: 2027-03-31, 2027-03-31T18:00:00Z.`,
  );
}
