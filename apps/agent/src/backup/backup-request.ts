import type { Manifest, SigningKey } from '@strideiq/core';
import type { Asked, Journal } from '../journal/journal.ts';
import type { CopyOutcome } from '../journal/schema.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import type { ReportProgress } from '../progress/progress.ts';
import type { OpenedStore } from '../stores/opened-store.ts';

/** What to back up, where to, and how. */
export interface BackupRequest {
  environment: string;
  database: string;
  databaseId: string;
  endpoint: Endpoint;
  stores: readonly OpenedStore[];
  compressionLevel: number;
  /** Connections that read rows at once. */
  jobs: number;
  /** Tables from this size on are divided between them. */
  laneTableBytes: number;
  /** How far this program stands back for others: 0 to 19. */
  nice: number;
  excludeTables: readonly string[];
  excludeTableData: readonly string[];
  lockWaitLimitMs: number;
  /** How long pg_dump, or a connection that reads rows, may be silent while we read. */
  hangLimitMs: number;
  /** How long a store may take nothing before it is dropped. */
  stallLimitMs: number;
  /** How long the snapshot may be held: an old one keeps vacuum from its work. */
  snapshotAgeLimitMs: number;
  /** pg_dump by its path, or its folder, where PATH's is not to be used. */
  pgDump?: string;
  /** Whether the globals are to hold the password hashes of all roles. */
  rolePasswords: boolean;
  /** Made just before the database is replaced: see the manifest. */
  safety?: boolean;
  /** Left out: this host asks for it itself. */
  asked?: Asked;
}

export interface BackupDependencies {
  journal: Journal;
  key: SigningKey;
  now: () => number;
  progress: ReportProgress;
  signal: AbortSignal;
}

export interface BackupOutcome {
  runId: string;
  backupId: string;
  manifest: Manifest;
  copies: CopyOutcome[];
  warnings: string[];
}
