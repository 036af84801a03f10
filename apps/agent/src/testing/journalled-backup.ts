import { backupNames, databaseIdOf, newId } from '@strideiq/core';
import { createHash } from 'node:crypto';
import type { Journal } from '../journal/journal.ts';

const hourMs = 3_600_000;

/** A backup as its run leaves it in the journal, with its copy in a directory read back, and in a bucket. */
export interface JournalledBackup {
  runId: string;
  database: string;
  databaseId: string;
  dumpKey: string;
  at: number;
}

/** A prefix holds one database. */
export const storeIdOf = (store: 'local' | 's3', database: string): string => databaseIdOf(store, database);
const stores = ['local', 's3'] as const;

/**
 * Writes what a backup by schedule writes, without making one.
 * @param fails no copy is stored
 */
export function journalBackup(journal: Journal, database: string, at: number, fails = false): JournalledBackup {
  const databaseId = databaseIdOf('test', database);
  const [runId, backupId, verifyId] = [newId(at), newId(at), newId(at)];
  const { dump: dumpKey, manifest } = backupNames(database, new Date(at));
  const common = { environment: 'test', database, databaseId };
  journal.begin({ ...common, id: runId, kind: 'backup', detail: { dueAt: at, backupId } });
  const copies = stores.map((store) => ({
    storeId: storeIdOf(store, database),
    store,
    location: store === 'local' ? `/var/backups/strideiq/test/${database}` : `s3://strideiq-backups/test/${database}/`,
    dumpKey,
  }));
  journal.describe(runId, { copies });
  if (fails) {
    journal.finish(runId, 'failed', {}, { code: 'ServerUnreachable', text: 'It is away. Start it.' });
    return { runId, database, databaseId, dumpKey, at };
  }
  const manifestSha256 = createHash('sha256').update(runId).digest('hex');
  const sealed = {
    objectName: dumpKey,
    bytes: 1_234_567,
    rawBytes: 12_345_678,
    sha256: manifestSha256,
    manifestSha256,
    rows: 123_456,
    tables: 123,
    snapshotAt: new Date(at).toISOString(),
    serverVersion: '15.20',
    pgDumpVersion: '15.20',
    databaseBytes: 123_456_789,
    hasPrivileges: true,
  };
  const text = manifest.repeat(500);
  journal.seal(
    { runId, backupId, manifest: text, manifestSha256, privileges: Buffer.from(text), globals: null },
    sealed,
  );
  const stored = copies.map((copy) => ({ ...copy, state: 'stored' as const, sizeBytes: sealed.bytes }));
  journal.finish(runId, 'succeeded', { copies: stored, bytes: sealed.bytes, warnings: ['A role is not there.'] });
  journal.begin({ ...common, id: verifyId, kind: 'verify', detail: {} });
  journal.copies.found({
    databaseId,
    backupId,
    storeId: storeIdOf('local', database),
    key: dumpKey,
    state: 'verified',
    problems: [],
    runId: verifyId,
  });
  journal.finish(verifyId, 'succeeded', { bytes: sealed.bytes });
  return { runId, database, databaseId, dumpKey, at };
}

/** What retention says of a copy that it removes from the directory. */
export function journalDeletion(journal: Journal, { database, databaseId, dumpKey }: JournalledBackup): void {
  const storeId = storeIdOf('local', database);
  journal.copies.deleted({ databaseId, storeId, key: dumpKey, reason: 'no rule keeps it any more' });
}

export const hours = (count: number): number => count * hourMs;
