import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildProgram } from '../program.ts';
import { bashScript } from './bash.ts';
import { commandsOf } from './commands-of.ts';
import { fishScript } from './fish.ts';
import { zshScript } from './zsh.ts';

const nothing = async () => undefined;
const commands = commandsOf(buildProgram({ alone: nothing, asking: nothing }));

test('every command of the program is there, with what it takes', () => {
  const paths = commands.map(({ path }) => path.join(' '));
  expect(paths).toEqual(
    expect.arrayContaining([
      '',
      'login',
      'runs',
      'restore',
      'keys',
      'keys list',
      'keys create',
      'keys revoke',
      'audit',
    ]),
  );
  expect(new Set(paths).size).toBe(paths.length);
  const create = commands.find(({ path }) => path.join(' ') === 'keys create');
  const valuesOf = (name: string) => create?.options.find((option) => option.name === name)?.values;
  expect(valuesOf('--role')).toEqual(['viewer', 'operator', 'admin']);
  expect(valuesOf('--key-file')).toBe('file');
  expect(valuesOf('--name')).toBe('any');
  expect(valuesOf('--json')).toBeUndefined();
});

describe('bash completes', () => {
  let directory = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'strideiq-completion-'));
    writeFileSync(join(directory, 'script'), bashScript('strideiq', commands));
    writeFileSync(join(directory, 'a key.txt'), '');
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** What bash offers for the last of these words, which is not yet whole. */
  async function offered(...words: string[]): Promise<string[]> {
    const program = `source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _strideiq; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await promisify(execFile)('bash', ['-c', program, 'bash', 'strideiq', ...words], {
      cwd: directory,
    });
    return stdout.split('\n').filter((line) => line !== '');
  }

  test.each([
    [['ru'], ['runs']],
    [['backup'], ['backups', 'backup']],
    [
      ['keys', ''],
      ['list', 'create', 'revoke', '--help'],
    ],
    [['keys', 'create', '--ro'], ['--role']],
    [
      ['keys', 'create', '--role', ''],
      ['viewer', 'operator', 'admin'],
    ],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish', '--json', '--help'],
    ],
    [['login', '--key-file', 'a'], ['a key.txt']],
    [['restore', 'latest', '--into', ''], []],
    // What follows an option is none of the command's words.
    [['runs', '--database', 'keys', '--st'], ['--state']],
    [
      ['runs', '--state', 'c'],
      ['cancelling', 'cancelled'],
    ],
    [
      ['nonsense', '--'],
      ['--version', '--help'],
    ],
  ])('%j with %j', async (words, expected) => {
    expect(await offered(...words)).toEqual(expected);
  });
});

test.each([
  ['zsh', zshScript],
  ['fish', fishScript],
])('the script for %s names every command and option', (_, scriptOf) => {
  const script = scriptOf('strideiq', commands);
  for (const { path, options } of commands) {
    expect(script).toContain(path.at(-1) ?? 'strideiq');
    for (const { name } of options) expect(script).toMatch(new RegExp(String.raw`(?:-l |--)${name.slice(2)}\b`));
  }
});
