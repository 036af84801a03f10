import type { SigningKey } from '@strideiq/core';
import type { BackupSource } from '../backups/resolve-reference.ts';
import type { HooksConfiguration } from '../configuration/index.ts';
import type { Asked, Journal } from '../journal/journal.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import type { ReportProgress } from '../progress/progress.ts';
import type { ComparedTable } from './compare.ts';
import type { Wanted } from './selection.ts';
import type { GivenTrust } from './trust.ts';

/** What every restore is asked, wherever its rows go. */
export interface RestoreRequest {
  environment: string;
  database: string;
  databaseId: string;
  source: BackupSource;
  /** REF as it was asked for. */
  reference: string;
  /** A maintenance database of the target server. */
  maintenance: Endpoint;
  trustSource: boolean;
  /** The host's own; left out: none. */
  hooks?: HooksConfiguration | undefined;
  /** A part of the backup; left out: all of it. */
  wanted?: Wanted | undefined;
  /** Sessions that load at the same time; left out: as many as the machine has processors, 2 to 8. */
  jobs?: number | undefined;
  /** Gathers the planner's statistics at the end: true. Whoever drops the database soon needs none. */
  analyze?: boolean | undefined;
  /** Of values that are stored out of line, where they are not to be stored as the server does by itself. */
  toastCompression?: string | undefined;
  /** What whoever asks knows of the manifest; where it is given, no other is taken. */
  trust?: GivenTrust | undefined;
  /** Left out: this host asks for it itself. */
  asked?: Asked;
}

export interface RestoreDependencies {
  journal: Journal;
  key: SigningKey;
  now: () => number;
  progress: ReportProgress;
  signal: AbortSignal;
}

export interface RestoreOutcome {
  runId: string;
  /** The database that the backup is in now. */
  into: string;
  backupId: string | undefined;
  tables: ComparedTable[];
  /** Objects compared with the manifest's inventory; 0 without a manifest. */
  objects: number;
  /** The object beside the backup that holds owners and grants. */
  privileges: string | undefined;
  notes: string[];
}
