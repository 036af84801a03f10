import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isDaemonRunning, takeDaemonLock } from './daemon-lock.ts';

let stateDir = '';
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'strideiq-lock-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

test('one daemon holds it at a time, and whoever asks does not', () => {
  expect(isDaemonRunning(stateDir)).toBe(false);
  const lock = takeDaemonLock(stateDir);
  expect(() => takeDaemonLock(stateDir)).toThrow(expect.objectContaining({ code: 'DaemonRunning' }));
  expect(isDaemonRunning(stateDir)).toBe(true);
  lock.release();
  expect(isDaemonRunning(stateDir)).toBe(false);
});

test.each([
  ['cannot be opened', (file: string) => mkdirSync(file)],
  ['is none', (file: string) => writeFileSync(file, 'x'.repeat(4096))],
])('a lock that %s is not taken for a daemon that runs', (_, spoil) => {
  spoil(join(stateDir, 'daemon.lock'));
  const unusable: unknown = expect.objectContaining({ code: 'StateUnusable' });
  expect(() => takeDaemonLock(stateDir)).toThrow(unusable);
  expect(() => isDaemonRunning(stateDir)).toThrow(unusable);
});
