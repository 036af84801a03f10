import type { Manifest } from '@strideiq/core';
import type { BackupSource } from '../backups/resolve-reference.ts';
import type { Connection } from '../postgres/connect.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { ChunkedLoad } from './chunked-load.ts';
import { isOfCron } from './left-out.ts';
import { letHeapGrow } from './let-heap-grow.ts';
import type { LoadContext } from './load-context.ts';
import { LoadSessions } from './load-sessions.ts';
import { LoadTally, type LoadResult } from './load-tally.ts';
import type { Selection, Wanted } from './selection.ts';
import { loadStream } from './streamed-load.ts';
import type { UntrustedRole } from './untrusted-role.ts';

export interface LoadOptions {
  /** A manifest whose chunks are checked before they run; without one the file is read from its start as it is. */
  manifest: Manifest | undefined;
  /** Connects to the database that is filled. */
  connect: () => Promise<Connection>;
  /** Sessions at the same time. */
  jobs: number;
  /** Of values that are stored out of line; left out: as the server does by itself. */
  toastCompression?: string | undefined;
  /** A part of the backup, by its manifest. Left out: all of it. */
  selection?: Selection | undefined;
  /** The same where there is no manifest. */
  wanted?: Wanted | undefined;
  /** The database is only looked at: pg_cron is left out; of a dump with a manifest. */
  onlyLookedAt?: boolean | undefined;
  /** Gathers the planner's statistics of large tables as soon as they are done; `LoadResult.analyzed` names them. */
  analyze: boolean;
  /** Whose connections they are, where it was made for this. */
  role?: UntrustedRole | undefined;
  progress: ReportProgress;
  signal: AbortSignal;
  /** Called once the tables, types and functions are there, and before any row is. */
  afterPreData?: ((connection: Connection) => Promise<void>) | undefined;
}

/**
 * Runs a dump into a database. With a manifest, tables are loaded and indexes made over several connections at once; a
 * dump without one is read from its start over one connection, up to its post-data. The first error ends it.
 * @throws AgentError `RestoreFailed` naming statement and table; DumpError of a damaged or cut dump
 */
export async function loadDump(source: BackupSource, options: LoadOptions): Promise<LoadResult> {
  letHeapGrow();
  const { manifest, connect, jobs, toastCompression } = options;
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  // How much of SQL a part of it is nobody knows beforehand.
  const tally = new LoadTally(options.progress, options.selection ? undefined : manifest);
  const sessions = new LoadSessions(
    connect,
    { jobs, toastCompression },
    {
      tally,
      signal,
      foreign: !manifest,
      role: options.role,
    },
  );
  const context: LoadContext = {
    source,
    sessions,
    tally,
    signal,
    stop: (error) => failure.abort(error),
    jobs,
    selection: options.selection,
    wanted: manifest ? undefined : options.wanted,
    afterPreData: options.afterPreData ?? (async () => undefined),
    analyze: options.analyze,
    leavesOut: options.onlyLookedAt && manifest ? (about) => isOfCron(about, manifest) : () => false,
  };
  try {
    if (manifest) await new ChunkedLoad(manifest, context).run();
    else await loadStream(context);
    return tally.result;
  } catch (error) {
    throw options.signal.aborted ? options.signal.reason : error;
  } finally {
    await sessions.end();
  }
}
