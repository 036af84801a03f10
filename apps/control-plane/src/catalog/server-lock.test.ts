import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ServerLock } from './server-lock.ts';

let dataDir = '';
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'strideiq-lock-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const refused = (code: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(dataDir) as string });

test('one holds it at a time, until it lets go', () => {
  const first = new ServerLock(dataDir);
  expect(() => new ServerLock(dataDir)).toThrow(refused('CatalogInUse'));
  first.release();
  new ServerLock(dataDir).release();
});

test('where it cannot be made, the data directory is at fault and no other server', () => {
  mkdirSync(join(dataDir, 'server.lock'));
  expect(() => new ServerLock(dataDir)).toThrow(refused('DataUnusable'));
});
