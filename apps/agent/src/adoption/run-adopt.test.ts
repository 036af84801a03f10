import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { newId, parseManifest } from '@strideiq/core';
import { StorageError } from '@strideiq/storage';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findBackups } from '../backups/find-backups.ts';
import type { Host } from '../compose.ts';
import { clearDatabase } from '../leftovers/clear-database.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { runAdopt } from './run-adopt.ts';

const stem = 'app_20250131_030000';
const sql = `--
-- PostgreSQL database dump
--

-- Dumped from database version 15.4
-- Dumped by pg_dump version 16.1

SET client_encoding = 'UTF8';

CREATE TABLE public.t (
    n integer
);

COPY public.t (n) FROM stdin;
1
2
\\.

--
-- PostgreSQL database dump complete
--

`;

let agent: TestAgent;
let host: Host;
beforeEach(async () => {
  agent = new TestAgent({ controlPlane: new ScriptedControlPlane() });
  host = await agent.open();
  writeFileSync(join(agent.backups, `${stem}.sql.gz`), gzipSync(sql));
});
afterEach(async () => {
  host.close();
  await agent.remove();
});

const database = () => host.configuration.databases['app'] ?? expect.unreachable();
async function adopt(change: (opened: OpenedStore) => void = () => undefined) {
  const stores = await host.storesOf(database());
  for (const opened of stores) change(opened);
  const [backup = expect.unreachable()] = await findBackups(stores);
  const { journal, key } = host;
  const { now, signal } = host.surroundings;
  const request = { environment: 'test', database: 'app', databaseId: agent.databaseId(), backup };
  return runAdopt(request, { journal, key, now, signal, progress: () => undefined });
}
const manifest = () => parseManifest(readFileSync(join(agent.backups, `${stem}.manifest.json`), 'utf8'), stem).manifest;
const reports = (kind: string) =>
  (agent.rows(`SELECT body FROM reports WHERE kind = '${kind}' ORDER BY seq`) as { body: string }[]).map(
    ({ body }) => JSON.parse(body) as Record<string, unknown>,
  );

test('what was read is what its manifest says, and it is reported before its copy', async () => {
  const { backupId, runId } = await adopt();
  expect(manifest()).toMatchObject({
    backupId,
    source: { serverVersion: '15.4', pgDumpVersion: '16.1' },
    tables: [{ schema: 'public', name: 't', rows: 2 }],
    chunks: [],
    adopted: {},
  });
  expect(reports('run').at(-1)).toMatchObject({
    runId,
    kind: 'adopt',
    state: 'succeeded',
    backup: { backupId, adopted: true, rows: 2, snapshotAt: '2025-01-31T03:00:00.000Z', copies: [{ state: 'stored' }] },
  });
  expect(reports('copy')).toMatchObject([{ backupId, state: 'verified' }]);
  const kinds = (agent.rows('SELECT kind FROM reports ORDER BY seq') as { kind: string }[]).map(({ kind }) => kind);
  expect(kinds.lastIndexOf('run')).toBeLessThan(kinds.indexOf('copy'));
});

test('where no store takes the manifest the dump is as it was, and can be taken in later', async () => {
  const full = new StorageError('StorageFull', 'The disk is full.', 'Make room.');
  const failing = adopt(({ store }) => {
    store.put = async () => Promise.reject(full);
  });
  await expect(failing).rejects.toMatchObject({ code: 'NoCopyStored', message: expect.stringContaining('full') });
  expect(readdirSync(agent.backups)).toEqual([`${stem}.sql.gz`]);
  expect(reports('run').at(-1)).toMatchObject({ kind: 'adopt', state: 'failed' });
  expect(reports('run').at(-1)).not.toHaveProperty('backup');
  expect(host.journal.sealedOf(agent.databaseId())).toEqual(new Map());
  expect((await adopt()).copies).toHaveLength(1);
});

test('somebody else was quicker: his manifest stays', async () => {
  const theirs = `${stem}.manifest.json`;
  const failing = adopt(({ store }) => {
    const { put } = store;
    store.put = async (...asked) => {
      if (asked[0] === theirs) writeFileSync(join(agent.backups, theirs), '{}');
      return put.apply(store, asked);
    };
  });
  await expect(failing).rejects.toMatchObject({ code: 'NoCopyStored' });
  expect(readFileSync(join(agent.backups, theirs), 'utf8')).toBe('{}');
});

/** As one whose process was killed: nobody is left who will end it. */
function killed(): void {
  const owner = JSON.stringify({ pid: 2 ** 22 + 1, startTicks: 1, bootId: 'of another boot' });
  agent.sql("UPDATE runs SET owner = ? WHERE state = 'running'", owner);
}

test('killed while it reads, it has failed; killed once that is sealed, it is finished', async () => {
  const { journal } = host;
  const run = { id: newId(1), kind: 'adopt' as const, environment: 'test', database: 'app' };
  journal.begin({ ...run, databaseId: agent.databaseId(), detail: { backupId: newId(2) } });
  killed();
  expect((await clearDatabase(host, database()))?.cleared).toMatchObject([{ kind: 'adopt', state: 'failed' }]);

  const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
  void adopt(({ store }) => {
    store.put = async (key, ...rest) => {
      if (!key.endsWith('.manifest.json')) return Object.getPrototypeOf(store).put.call(store, key, ...rest);
      reach();
      return new Promise(() => undefined);
    };
  });
  await reached;
  killed();
  expect((await clearDatabase(host, database()))?.cleared).toMatchObject([{ kind: 'adopt', state: 'succeeded' }]);
  expect(manifest().adopted).toBeDefined();
  expect(readdirSync(agent.backups).filter((name) => name.startsWith('LATEST'))).toEqual([]);
  expect(reports('run').at(-1)).toMatchObject({ kind: 'adopt', state: 'succeeded', backup: { adopted: true } });
});
