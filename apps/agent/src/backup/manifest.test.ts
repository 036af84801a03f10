import { databaseIdOf, newId, parseManifest, type Manifest } from '@strideiq/core';
import { expect, test } from 'vitest';
import { manifestText } from './manifest.ts';

const id = newId(1_768_100_400_000);
const sha256 = 'ab'.repeat(32);
const moment = '2026-01-11T03:00:00.000Z';

/** Names of more bytes than characters, lists that are empty, and a part that is left out. */
const manifest: Manifest = {
  formatVersion: 1,
  backupId: id,
  runId: id,
  environment: 'production',
  database: 'läufe 👟',
  databaseId: databaseIdOf('production', 'läufe 👟'),
  storeIds: [id],
  agent: { version: '0.1.0', hostname: 'db1' },
  source: {
    database: 'läufe "\\\n',
    serverVersion: '15.20',
    serverVersionNumber: 150_020,
    pgDumpVersion: '15.20',
    encoding: 'UTF8',
    collate: 'C',
    ctype: 'C',
    localeProvider: 'c',
    icuLocale: null,
    standby: false,
    databaseBytes: 1000,
    indexBytes: 100,
  },
  snapshot: { takenAt: moment, walPosition: '0/16B3748' },
  startedAt: moment,
  finishedAt: moment,
  dumpOptions: { compressionLevel: 4, jobs: 1, excludeTables: [], excludeTableData: [] },
  object: { name: 'a.sql.gz', bytes: 30, rawBytes: 300, sha256 },
  privileges: null,
  chunks: [
    { section: 'pre-data', offset: 0, length: 10, rawLength: 100, sha256 },
    { section: 'data', offset: 10, length: 20, rawLength: 200, sha256, rows: [{ table: 0, rows: 3 }] },
  ],
  tables: [{ schema: 'public', name: 'größen', rows: 3 }],
  sequences: [],
  extensions: [],
  roles: [],
  inventory: [],
  passwordsIn: [],
  encryption: null,
  signature: undefined,
};

test('a manifest is stored as JSON with each part on a line, to the byte', () => {
  const parts = Object.entries(manifest)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  const text = manifestText(manifest, 'a.manifest.json').toString();
  expect(text).toBe(`{\n${parts.join(',\n')}\n}\n`);
  const { signature: _, ...written } = manifest;
  expect(parseManifest(text, 'a.manifest.json').manifest).toEqual(written);
});

test('a manifest that could not be read back is not written', () => {
  const object = { ...manifest.object, bytes: 31 };
  expect(() => manifestText({ ...manifest, object }, 'a.manifest.json')).toThrow('a.manifest.json contradicts itself');
  const startedAt = 'yesterday';
  expect(() => manifestText({ ...manifest, startedAt }, 'a.manifest.json')).toThrow('startedAt');
});
