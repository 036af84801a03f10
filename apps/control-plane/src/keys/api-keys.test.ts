import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { brokenAuditEntry } from '../audit/audit.ts';
import { openCatalog, type Catalog } from '../catalog/open-catalog.ts';
import { environments } from '../catalog/schema.ts';
import { AccessRefusals } from './access-refusals.ts';
import { ApiKeys, keyForm } from './api-keys.ts';
import { mayAct, mayReach, type Caller } from './caller.ts';
import { makeFirstAdminKey } from './first-admin-key.ts';

let dataDir = '';
let catalog: Catalog;
let now = Date.parse('2026-11-24T08:00:30.500Z');
let keys: ApiKeys;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'strideiq-keys-'));
  catalog = openCatalog(dataDir);
  keys = new ApiKeys(catalog, () => now);
});
afterEach(() => {
  catalog.$client.close();
  rmSync(dataDir, { recursive: true, force: true });
});

const asked = { name: 'deploy', role: 'operator' as const, environments: ['staging'], expiresAt: null };

describe('a key', () => {
  test('is 256 random bits, and the catalog holds none of them', () => {
    const { key, row } = keys.create(asked, 'local');
    expect(key).toMatch(keyForm);
    expect(Buffer.from(key.slice(4), 'base64url')).toHaveLength(32);
    expect(keys.create(asked, 'local').key).not.toBe(key);
    for (const file of readdirSync(dataDir)) {
      expect(readFileSync(join(dataDir, file)).includes(key.slice(4))).toBe(false);
    }
    expect(keys.authenticate(`Bearer ${key}`).caller).toEqual({
      keyId: row.id,
      name: 'deploy',
      role: 'operator',
      environments: ['staging'],
      expiresAt: null,
    });
  });

  test('works from one second to the next until it expires or is revoked', () => {
    const ends = now + 1000;
    const { key } = keys.create({ ...asked, expiresAt: ends }, 'local');
    const other = keys.create(asked, 'local');
    now = ends - 1;
    expect(keys.authenticate(`Bearer ${key}`).caller).toBeDefined();
    now = ends;
    expect(keys.authenticate(`Bearer ${key}`).refusal?.message).toMatch(/deploy has expired/);
    expect(keys.revoke(other.row.id, 'local').revokedAt).toBe(now);
    now += 5;
    expect(keys.authenticate(`Bearer ${other.key}`).refusal?.message).toMatch(/deploy was revoked/);
    // Again, it changes nothing.
    expect(keys.revoke(other.row.id, 'local').revokedAt).toBe(ends);
  });

  test.each([
    ['nothing', undefined, 'KeyMissing'],
    ['another scheme', 'Basic siq_', 'KeyInvalid'],
    ['a word', 'Bearer', 'KeyInvalid'],
    ['a cut one', (key: string) => `Bearer ${key.slice(0, -1)}`, 'KeyInvalid'],
    ['a longer one', (key: string) => `Bearer ${key}A`, 'KeyInvalid'],
    [
      'one letter off',
      (key: string) => `Bearer ${key.slice(0, -2)}${key.at(-2) === 'A' ? 'B' : 'A'}${key.at(-1)}`,
      'KeyInvalid',
    ],
    ['two', (key: string) => `Bearer ${key}, ${key}`, 'KeyInvalid'],
    ["an agent's credential", `Bearer siqa_${'A'.repeat(43)}`, 'KeyInvalid'],
  ])('%s is refused', (_, header, code) => {
    const { key } = keys.create(asked, 'local');
    const asking = keys.authenticate(typeof header === 'function' ? header(key) : header);
    expect({ code: asking.refusal?.code, keyId: asking.keyId }).toEqual({ code, keyId: undefined });
  });

  test('tells when it was used last, to the minute and with one write a minute', () => {
    const { key, row } = keys.create(asked, 'local');
    const used = () => keys.list().find(({ id }) => id === row.id)?.lastUsedAt;
    expect(used()).toBeNull();
    keys.authenticate(`Bearer ${key}`);
    const minute = Math.floor(now / 60_000) * 60_000;
    expect(used()).toBe(minute);
    const changes = catalog.$client.prepare('SELECT total_changes()').pluck();
    const before = changes.get();
    now += 20_000;
    keys.authenticate(`Bearer ${key}`);
    expect(changes.get()).toBe(before);
    now += 20_000;
    keys.authenticate(`Bearer ${key}`);
    expect(used()).toBe(minute + 60_000);
  });

  test('is told in the audit when made and revoked, and never its text', async () => {
    const { key, row } = keys.create(asked, 'somebody');
    keys.revoke(row.id, 'somebody else');
    const told = catalog.query.audit.findMany().sync();
    expect(told).toMatchObject([
      { actor: 'somebody', action: 'key.create', environment: 'staging', subject: row.id },
      { actor: 'somebody else', action: 'key.revoke', environment: 'staging', subject: row.id },
    ]);
    expect(JSON.stringify(told)).not.toContain(key);
    expect(await brokenAuditEntry(catalog)).toBeUndefined();
  });
});

test('what a role and a reach allow', () => {
  const caller = (more: Partial<Caller>): Caller => ({
    keyId: '',
    name: '',
    role: 'operator',
    environments: ['a', 'b'],
    expiresAt: null,
    ...more,
  });
  expect([mayAct(caller({}), 'viewer'), mayAct(caller({}), 'operator'), mayAct(caller({}), 'admin')]).toEqual([
    true,
    true,
    false,
  ]);
  const reaches = [['a'], ['a', 'b'], [], ['a', 'c'], 'all'] as const;
  expect(reaches.map((each) => mayReach(caller({}), each))).toEqual([true, true, true, false, false]);
  expect(reaches.every((each) => mayReach(caller({ environments: null }), each))).toBe(true);
  expect(mayReach(caller({ environments: [] }), ['a'])).toBe(false);
});

describe('the first admin', () => {
  const file = () => join(dataDir, 'admin.key');

  test('gets a key in a file for this user alone, once', () => {
    expect(makeFirstAdminKey(keys, dataDir)).toBe(file());
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    const { caller } = keys.authenticate(`Bearer ${readFileSync(file(), 'utf8').trim()}`);
    expect(caller).toMatchObject({ name: 'first admin', role: 'admin', environments: null });
    expect(makeFirstAdminKey(keys, dataDir)).toBeUndefined();
    expect(keys.list()).toHaveLength(1);
    expect(readdirSync(dataDir).filter((name) => name.includes('partial'))).toEqual([]);
  });

  test('whose file was taken away gets no other: there are keys', () => {
    makeFirstAdminKey(keys, dataDir);
    rmSync(file());
    expect(makeFirstAdminKey(keys, dataDir)).toBeUndefined();
    expect(readdirSync(dataDir)).not.toContain('admin.key');
  });

  test('a file that is there already is taken as it is, as after a start that died between the two', () => {
    const text = `siq_${'k'.repeat(43)}\n`;
    writeFileSync(file(), text);
    makeFirstAdminKey(keys, dataDir);
    expect(readFileSync(file(), 'utf8')).toBe(text);
    expect(keys.authenticate(`Bearer ${text.trim()}`).caller?.role).toBe('admin');
  });

  test('a file that holds something else is not touched, and said', () => {
    writeFileSync(file(), 'mine');
    expect(() => makeFirstAdminKey(keys, dataDir)).toThrow(/is there already and holds no key/);
    expect(readFileSync(file(), 'utf8')).toBe('mine');
    expect(keys.list()).toEqual([]);
  });
});

test('refusals without a known key are one caller: many addresses fill no disk', () => {
  const refusals = new AccessRefusals(catalog, () => now);
  for (let n = 0; n < 500; n++) {
    refusals.record({ keyId: undefined, procedure: 'runs.list', code: 'KeyInvalid', address: `192.0.2.${n}` });
  }
  expect(catalog.query.audit.findMany().sync()).toHaveLength(1);
});

describe('refusals', () => {
  const tried = (environment: string, keyId = 'key-1') => ({
    keyId,
    procedure: 'databases.get',
    code: 'EnvironmentNotAllowed',
    address: '192.0.2.1',
    environment,
  });

  beforeEach(() => {
    for (const name of ['production', 'staging']) {
      catalog.insert(environments).values({ name, createdAt: now }).run();
    }
  });

  test('at two environments in one minute are in the audit of each, once', () => {
    const refusals = new AccessRefusals(catalog, () => now);
    for (const name of ['production', 'staging', 'production', 'staging']) refusals.record(tried(name));
    expect(catalog.query.audit.findMany().sync()).toMatchObject([
      { environment: 'production' },
      { environment: 'staging' },
    ]);
  });

  test('at environments that there are not fill no disk', () => {
    const refusals = new AccessRefusals(catalog, () => now);
    for (let n = 0; n < 100; n++) refusals.record(tried(`made-up-${n}`));
    expect(catalog.query.audit.findMany().sync()).toHaveLength(1);
  });
});
