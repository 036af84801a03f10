import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileLock } from '../journal/file-lock.ts';
import { aloneAtNames, swapLockFile } from './swap-lock.ts';

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'strideiq-swap-'));
});
afterEach(() => {
  rmSync(stateDir, { recursive: true, force: true });
});

const of = (databaseId: string) => ({ stateDir, databaseId, database: 'app' });
const busy: unknown = expect.objectContaining({ code: 'RestoreAlreadyRunning' });

test('one piece of work is at the names of a database at a time, also where it fails', async () => {
  await aloneAtNames(of('a'), async () => {
    await expect(aloneAtNames(of('a'), async () => undefined)).rejects.toThrow(busy);
    expect(await aloneAtNames(of('b'), async () => 'another')).toBe('another');
  });
  await expect(aloneAtNames(of('a'), async () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
  expect(await aloneAtNames(of('a'), async () => 'after it')).toBe('after it');
});

test('a process that is killed lets go of it', async () => {
  const file = swapLockFile(stateDir, 'a');
  const program = join(stateDir, 'holds.ts');
  const lock = join(import.meta.dirname, '../journal/file-lock.ts');
  writeFileSync(
    program,
    `import { FileLock } from ${JSON.stringify(lock)}; globalThis.lock = FileLock.take(${JSON.stringify(file)}, 5000); process.send('holds'); setInterval(() => undefined, 1000);`,
  );
  const holder = fork(program, { execArgv: ['--conditions=source'] });
  try {
    expect(await once(holder, 'message')).toContain('holds');
    expect(FileLock.isHeld(file)).toBe(true);
    await expect(aloneAtNames(of('a'), async () => undefined)).rejects.toThrow(busy);
  } finally {
    holder.kill('SIGKILL');
    await once(holder, 'exit');
  }
  expect(FileLock.isHeld(file)).toBe(false);
});
