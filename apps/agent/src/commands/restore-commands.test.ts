import { newId } from '@strideiq/core';
import type { SourceUrls } from '@strideiq/protocol';
import { fingerprint } from '@strideiq/testkit';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { RealParts, type ReportedBackup } from '../testing/real-parts.ts';

/** `restoreFresh`, on real servers and stores. */

const real = new RealParts();

const restore = (backup: ReportedBackup, into: string, source: object, trust?: object) =>
  real.agent.command('restoreFresh', {
    backupId: backup.backupId,
    sourceDatabaseId: real.agent.databaseId(),
    source: { key: backup.objectName, ...source },
    into,
    ...(trust === undefined ? {} : { trust }),
  });

const urlsOf =
  (backup: ReportedBackup, expiresInSeconds = 60) =>
  async (): Promise<SourceUrls> => {
    const url = async (key: string) => (await real.bucket.presign?.(key, { expiresInSeconds })) ?? '';
    const stem = backup.objectName.replace('.sql.gz', '');
    return {
      dump: await url(backup.objectName),
      manifest: await url(`${stem}.manifest.json`),
      privileges: await url(`${stem}.privileges.sql.gz`),
      expiresAt: new Date(Date.now() + 60_000).toISOString(),
    };
  };

test('from a store: a new database with equal rows, and none of that name twice', async () => {
  await real.agent.start();
  const backup = await real.backedUp();
  const storeId = backup.copies[1]?.storeId ?? '';
  const command = restore(backup, 'app_new', { via: 'store', storeId });
  expect(await real.doIt(command)).toMatchObject({ state: 'done' });
  expect(real.runOf(command)).toMatchObject({
    kind: 'restore',
    state: 'succeeded',
    restore: { backupId: backup.backupId, into: 'app_new', rows: backup.rows, tables: backup.tables },
  });
  const [before, after] = await Promise.all([fingerprint(real.cluster, 'app'), fingerprint(real.cluster, 'app_new')]);
  expect(after.tables).toEqual(before.tables);
  const again = restore(backup, 'app_new', { via: 'store', storeId });
  await real.doIt(again);
  expect(real.runOf(again)).toMatchObject({ state: 'failed', error: { code: 'TargetExists' } });
  await real.cluster.query('postgres', 'DROP DATABASE app_new');
});

test('from a store that no database of this host uses', async () => {
  await real.agent.start();
  const backup = await real.backedUp();
  const [hello] = real.controlPlane.hellos;
  const declared = hello?.databases[0]?.stores.map(({ storeId }) => storeId) ?? [];
  const storeId = hello?.reachableStoreIds.find((id) => !declared.includes(id)) ?? '';
  cpSync(real.agent.backups, join(real.agent.directory, 'spare'), { recursive: true });
  const command = restore(backup, 'app_spare', { via: 'store', storeId });
  await real.doIt(command);
  expect(real.runOf(command)).toMatchObject({ state: 'succeeded' });
  await real.cluster.query('postgres', 'DROP DATABASE app_spare');
});

test('by URLs on another host, by what the control plane knows of the manifest; no URL is written down', async () => {
  const key = (await real.agent.start()).key.publicPem;
  const backup = await real.backedUp();
  await real.moveElsewhere();
  real.controlPlane.sourceUrls = urlsOf(backup);
  const trust = { manifestSha256: backup.manifestSha256, publicKeyPem: key };
  const command = restore(backup, 'app_far', { via: 'url' }, trust);
  await real.doIt(command);
  expect(real.runOf(command)).toMatchObject({ state: 'succeeded', restore: { rows: backup.rows } });
  const [before, after] = await Promise.all([fingerprint(real.cluster, 'app'), fingerprint(real.cluster, 'app_far')]);
  expect(after.tables).toEqual(before.tables);
  await real.cluster.query('postgres', 'DROP DATABASE app_far');
  await real.agent.stop();
  const written = real.agent.withJournal((journal) =>
    JSON.stringify([journal.get(command.runId ?? ''), journal.commands.get(command.commandId)]),
  );
  for (const text of [written, JSON.stringify(real.controlPlane.recorded), real.agent.said.join('\n')]) {
    expect(text).not.toMatch(/X-Amz|Signature=/i);
  }
});

test.each([
  ['nothing is known of its manifest', undefined],
  ['it is not the manifest that is known', { manifestSha256: '0'.repeat(64) }],
  ['it was signed by another key', { publicKeyPem: 'none' }],
])('by URLs, where %s: refused, and nothing is left', async (_, wrong) => {
  const key = (await real.agent.start()).key.publicPem;
  const backup = await real.backedUp();
  await real.moveElsewhere();
  real.controlPlane.sourceUrls = urlsOf(backup);
  const trust = wrong && { manifestSha256: backup.manifestSha256, publicKeyPem: key, ...wrong };
  const command = restore(backup, 'app_untrusted', { via: 'url' }, trust);
  await real.doIt(command);
  expect(real.runOf(command)).toMatchObject({ state: 'failed', error: { code: 'SourceUntrusted' } });
  expect((await real.databases()).filter((name) => /untrusted|strideiq_/.test(name))).toEqual([]);
});

test('by URLs as a superuser, where the host’s file does not take the control plane’s word: refused, and nothing is left', async () => {
  const key = (await real.agent.start()).key.publicPem;
  const backup = await real.backedUp();
  await real.moveElsewhere({ trustBackups: false });
  real.controlPlane.sourceUrls = urlsOf(backup);
  const trust = { manifestSha256: backup.manifestSha256, publicKeyPem: key };
  const command = restore(backup, 'app_untrusted', { via: 'url' }, trust);
  await real.doIt(command);
  expect(real.runOf(command)).toMatchObject({
    state: 'failed',
    error: { code: 'SourceUntrusted', text: expect.stringContaining('controlPlane.trustBackups') },
  });
  expect((await real.databases()).filter((name) => /untrusted|strideiq_/.test(name))).toEqual([]);
});

test('where the given trust does not fit, its own signature does not help', async () => {
  await real.agent.start();
  const backup = await real.backedUp();
  const source = { via: 'store', storeId: backup.copies[0]?.storeId };
  const trust = { manifestSha256: '0'.repeat(64), publicKeyPem: 'none' };
  const command = restore(backup, 'app_untrusted', source, trust);
  await real.doIt(command);
  expect(real.runOf(command)).toMatchObject({ state: 'failed', error: { code: 'SourceUntrusted' } });
});

test('of another backup under that name, of a name that is none, and of a store that is not in the file', async () => {
  await real.agent.start();
  const backup = await real.backedUp();
  const storeId = backup.copies[0]?.storeId;
  const other = restore({ ...backup, backupId: newId(1) }, 'app_other', { via: 'store', storeId });
  expect(await real.doIt(other)).toMatchObject({ state: 'refused', reason: { code: 'VerificationFailed' } });
  const nameless = restore({ ...backup, objectName: 'LATEST.sql.gz' }, 'app_other', { via: 'url' });
  expect(await real.doIt(nameless)).toMatchObject({ state: 'refused', reason: { code: 'CommandInvalid' } });
  const nowhere = restore(backup, 'app_other', { via: 'store', storeId: newId(1) });
  expect(await real.doIt(nowhere)).toMatchObject({ state: 'refused', reason: { code: 'StoreUnknown' } });
  const urls = restore(backup, 'app_other', { via: 'url' });
  expect(await real.doIt(urls)).toMatchObject({ state: 'refused', reason: { code: 'CopyUnreachable' } });
  expect((await real.databases()).filter((name) => /app_other|strideiq_/.test(name))).toEqual([]);
});
