import { databaseIdOf, newId, type Manifest } from '@strideiq/core';

const id = newId(1_768_100_400_000);
const sha256 = 'ab'.repeat(32);
const moment = '2026-01-11T03:00:00.000Z';

/** Names of more bytes than characters, lists that are empty, and a part that is left out. */
export const exampleManifest: Manifest = {
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
