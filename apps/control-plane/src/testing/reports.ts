import { backupNames, newId } from '@strideiq/core';
import type { ReportBodies, ReportedBackup } from '@strideiq/protocol';
import { createHash } from 'node:crypto';
import type { TestHost } from './host.ts';

type RunBody = ReportBodies['run'];

/** The words of a host about a run of its first database. */
export function runBody(host: TestHost, runId: string, state: RunBody['state'], more: Partial<RunBody> = {}): RunBody {
  return {
    runId,
    kind: 'backup',
    databaseId: host.databaseId(),
    state,
    startedAt: '2026-11-24T07:59:00.000Z',
    ...more,
  };
}

/** A backup of a host's first database, with a copy in each of its stores. */
export function madeBackup(host: TestHost, more: Partial<ReportedBackup> = {}): ReportedBackup {
  const [database] = host.databases;
  const snapshotAt = more.snapshotAt ?? '2026-11-24T07:59:01.000Z';
  const { dump } = backupNames(database?.name ?? '', new Date(snapshotAt));
  const backupId = more.backupId ?? newId(Date.parse(snapshotAt));
  return {
    backupId,
    objectName: dump,
    bytes: 1000,
    rawBytes: 5000,
    sha256: sha256(`dump ${backupId}`),
    manifestSha256: sha256(`manifest ${backupId}`),
    rows: 42,
    tables: 7,
    snapshotAt,
    serverVersion: '15.14',
    pgDumpVersion: '15.14',
    databaseBytes: 9000,
    hasPrivileges: true,
    copies: (database?.stores ?? []).map(({ storeId }) => ({ storeId, key: dump, state: 'stored', sizeBytes: 1000 })),
    ...more,
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
