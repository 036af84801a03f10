import Database from 'better-sqlite3';
import { execFile } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiKeys } from '../keys/api-keys.ts';
import { backupCatalog, restoreCatalog } from './backup-catalog.ts';
import { openCatalog, type Catalog } from './open-catalog.ts';

const now = Date.parse('2026-11-24T08:00:00.123Z');
let directory = '';
let dataDir = '';
let copy = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-catalog-'));
  dataDir = join(directory, 'data');
  copy = join(directory, 'copy.db');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function addKey(catalog: Catalog, name: string): void {
  new ApiKeys(catalog, () => now).create({ name, role: 'viewer', environments: null, expiresAt: null }, 'local');
}

function namesIn(dir = dataDir): string[] {
  const catalog = openCatalog(dir);
  try {
    return new ApiKeys(catalog, () => now)
      .list()
      .map(({ name }) => name)
      .sort();
  } finally {
    catalog.$client.close();
  }
}

/**
 * Puts the copy back in a process that dies before it changes the name of the catalog for the so-manieth time.
 * @returns whether it came to its end before that
 */
async function restoreKilledAt(step: number, dir: string): Promise<boolean> {
  const script = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    let left = ${step};
    const target = ${JSON.stringify(join(dir, 'catalog.db'))};
    const isOurs = (args) => args.some((each) => typeof each === 'string' && each.startsWith(target));
    for (const name of ['renameSync', 'linkSync', 'rmSync']) {
      const real = fs[name];
      fs[name] = (...args) => (isOurs(args) && --left === 0 ? process.kill(process.pid, 'SIGKILL') : real(...args));
    }
    syncBuiltinESMExports();
    const { restoreCatalog } = await import(${JSON.stringify(join(import.meta.dirname, 'backup-catalog.ts'))});
    await restoreCatalog(${JSON.stringify(dir)}, ${JSON.stringify(copy)}, ${now});`;
  return await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]).then(
    () => true,
    (error: { signal?: string }) => {
      if (error.signal !== 'SIGKILL') throw error;
      return false;
    },
  );
}

describe('a copy of the catalog', () => {
  test('is taken while somebody works on it, with what was committed last, and is put back whole', async () => {
    const catalog = openCatalog(dataDir);
    addKey(catalog, 'before');
    backupCatalog(dataDir, copy);
    addKey(catalog, 'after');
    await expect(restoreCatalog(dataDir, copy, now)).rejects.toMatchObject({ code: 'CatalogInUse' });
    catalog.$client.close();
    expect(statSync(copy).mode & 0o077).toBe(0);
    const { replaced, brokenAuditSeq } = await restoreCatalog(dataDir, copy, now);
    expect(brokenAuditSeq).toBeUndefined();
    expect(namesIn()).toEqual(['before']);
    // What was there stays beside it, and is a catalog too.
    expect(replaced).toBe(join(dataDir, 'catalog.db.replaced-20261124T080000Z'));
    const old = join(directory, 'old');
    cpSync(replaced ?? '', join(old, 'catalog.db'));
    expect(namesIn(old)).toEqual(['after', 'before']);
  });

  test('what a killed server left in its log is in the one that is kept', async () => {
    const catalog = openCatalog(dataDir);
    addKey(catalog, 'first');
    backupCatalog(dataDir, copy);
    addKey(catalog, 'only in the log');
    const killed = join(directory, 'killed');
    // As the files are at a power cut.
    cpSync(dataDir, killed, { recursive: true });
    catalog.$client.close();
    expect(readdirSync(killed)).toContain('catalog.db-wal');
    const { replaced } = await restoreCatalog(killed, copy, now);
    expect(readdirSync(killed).filter((name) => /-wal|-shm|restoring/.test(name))).toEqual([]);
    const old = join(directory, 'old');
    cpSync(replaced ?? '', join(old, 'catalog.db'));
    expect(namesIn(old)).toEqual(['first', 'only in the log']);
    expect(namesIn(killed)).toEqual(['first']);
  });

  test('killed at any step of putting it back, there is a catalog: the one that was there, or the copy', async () => {
    const catalog = openCatalog(dataDir);
    addKey(catalog, 'both');
    backupCatalog(dataDir, copy);
    addKey(catalog, 'old');
    catalog.$client.close();
    const seen = new Set<string>();
    for (let step = 1; ; step++) {
      const dir = join(directory, `killed-${step}`);
      cpSync(dataDir, dir, { recursive: true });
      const survived = await restoreKilledAt(step, dir);
      expect(existsSync(join(dir, 'catalog.db'))).toBe(true);
      seen.add(namesIn(dir).join());
      if (survived) break;
    }
    expect(seen).toEqual(new Set(['both,old', 'both']));
  }, 60_000);

  test('goes into a data directory that has none yet', async () => {
    const catalog = openCatalog(dataDir);
    addKey(catalog, 'moved');
    catalog.$client.close();
    backupCatalog(dataDir, copy);
    const other = join(directory, 'other');
    expect(await restoreCatalog(other, copy, now)).toEqual({ replaced: undefined, brokenAuditSeq: undefined });
    expect(namesIn(other)).toEqual(['moved']);
  });

  test.each([
    ['read-only', 0o444],
    ['open to all', 0o644],
  ])('from a file that is %s is this user’s alone and can be written', async (_, mode) => {
    openCatalog(dataDir).$client.close();
    backupCatalog(dataDir, copy);
    chmodSync(copy, mode);
    await restoreCatalog(dataDir, copy, now);
    expect(statSync(join(dataDir, 'catalog.db')).mode & 0o777).toBe(0o600);
  });

  test('overwrites nothing, and leaves nothing half written', () => {
    expect(() => backupCatalog(dataDir, copy)).toThrow(/There is no catalog/);
    openCatalog(dataDir).$client.close();
    writeFileSync(copy, 'mine');
    expect(() => backupCatalog(dataDir, copy)).toThrow(/is there already/);
    expect(readFileSync(copy, 'utf8')).toBe('mine');
    expect(() => backupCatalog(dataDir, join(directory, 'nowhere/copy.db'))).toThrow(/cannot be written/);
    expect(readdirSync(directory).sort()).toEqual(['copy.db', 'data']);
  });
});

function fillCopy(from: number, to: number): void {
  const bytes = readFileSync(copy);
  writeFileSync(copy, bytes.fill(0xff, from, to));
}

function inCopy(sql: string): void {
  const client = new Database(copy);
  client.exec(sql);
  client.close();
}

test.each([
  ['no file', () => rmSync(copy), 'NotFound'],
  ['no SQLite', () => writeFileSync(copy, 'something else'), 'CatalogInvalid'],
  ['SQLite, and no catalog', () => inCopy('DROP TABLE audit'), 'CatalogInvalid'],
  ['a hole in it', () => fillCopy(4096 * 3, 4096 * 6), 'CatalogInvalid'],
  ['half of it', () => writeFileSync(copy, readFileSync(copy).subarray(0, 4096 * 10)), 'CatalogInvalid'],
  [
    'one of a newer version',
    () => inCopy("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('x', 1), ('y', 2)"),
    'CatalogInvalid',
  ],
])('what cannot be put back changes nothing: %s', async (_, spoil, code) => {
  const catalog = openCatalog(dataDir);
  addKey(catalog, 'here');
  catalog.$client.close();
  backupCatalog(dataDir, copy);
  spoil();
  await expect(restoreCatalog(dataDir, copy, now)).rejects.toMatchObject({ code });
  expect(namesIn()).toEqual(['here']);
  expect(readdirSync(dataDir).sort()).toEqual(['catalog.db', 'migration.lock']);
});

test('a copy whose audit was changed is put back, and that is said', async () => {
  const catalog = openCatalog(dataDir);
  for (const name of ['one', 'two', 'three']) addKey(catalog, name);
  catalog.$client.close();
  backupCatalog(dataDir, copy);
  chmodSync(copy, 0o600);
  const client = new Database(copy);
  client.exec(
    "DROP TRIGGER audit_is_append_only_update; UPDATE audit SET actor = 'nobody' WHERE seq = 2; CREATE TRIGGER audit_is_append_only_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;",
  );
  client.close();
  expect(await restoreCatalog(dataDir, copy, now)).toMatchObject({ brokenAuditSeq: 2 });
});
