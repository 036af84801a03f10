import { paragraphOf } from '@strideiq/core';
import { AgentError } from '../errors.ts';
import type { Journal, Run } from '../journal/journal.ts';
import type { RunsUnderWay } from '../journal/left-runs.ts';
import { answered, connect, endConnection, type Connection } from '../postgres/connect.ts';
import { describeServer, type Endpoint } from '../postgres/endpoint.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { clearRestore, dropScratch } from './clear-restore.ts';
import { endSessions } from './end-sessions.ts';
import { finishBackup } from './finish-backup.ts';
import { discardUnfinished } from './unfinished-puts.ts';

/** The database whose runs are to be cleared, with what is needed to do it. */
export interface Clearing {
  databaseId: string;
  stores: readonly OpenedStore[];
  /** A maintenance database of the server. */
  maintenance: Endpoint;
  /** Runs that this process is at, where it is the daemon. */
  underWay?: RunsUnderWay | undefined;
}

/** What was found of one run, and what became of it. */
export interface Cleared {
  runId: string;
  kind: Run['kind'];
  state: 'succeeded' | 'failed' | 'cancelled';
  text: string;
}

/**
 * Clears what runs left whose process was killed: temporary files, multipart uploads, half-restored databases; and gives
 * each its true outcome in the journal. A backup whose dump had reached a store whole is finished there. Also cleared is
 * what a run that ended by itself could not clear, because its store or server was out of reach.
 *
 * What cannot be reached now is tried again at the next start: a killed run stays open, and `problems` says why.
 */
export async function clearLeftovers(
  journal: Journal,
  clearing: Clearing,
  now: () => number,
): Promise<{ cleared: Cleared[]; problems: string[] }> {
  const { left } = journal;
  const killed = left.abandoned([clearing.databaseId], clearing.underWay).filter((run) => left.adopt(run));
  const ended = left.uncleared([clearing.databaseId]);
  const cleared: Cleared[] = [];
  const problems: string[] = [];
  const server = new Maintenance(clearing.maintenance);
  try {
    // First of all, since what they still do would come after we have looked.
    await server.endSessionsOf(killed).catch((error: unknown) => {
      problems.push(`Sessions of killed runs could not be ended on the server: ${paragraphOf(error)}`);
    });
    const unreachable = await discardUnfinished(clearing.stores, killed, ended);
    for (const [store, problem] of unreachable) problems.push(`${store} could not be cleared yet: ${problem}`);
    for (const run of killed) {
      try {
        if (run.kind === 'backup') cleared.push(await finishBackup(journal, run, clearing.stores, unreachable));
        else cleared.push(await clearRestore(journal, run, server));
      } catch (error) {
        problems.push(`Run ${run.id} (${run.kind}) was killed, and could not be cleared yet: ${paragraphOf(error)}`);
      }
    }
    for (const run of ended) {
      try {
        if (run.kind === 'restore') await dropScratch(run, server);
        else if (hasCopyIn(run, clearing.stores, unreachable)) continue;
        journal.describe(run.id, { clearedAt: now() });
      } catch (error) {
        problems.push(`What run ${run.id} (${run.kind}) left could not be cleared yet: ${paragraphOf(error)}`);
      }
    }
  } finally {
    await server.end();
  }
  return { cleared, problems };
}

/** Whether a store that could not be reached may still hold something of a run. */
function hasCopyIn(run: Run, stores: readonly OpenedStore[], unreachable: ReadonlyMap<string, string>): boolean {
  return stores.some(
    ({ name, store }) => unreachable.has(name) && run.detail.copies?.some((copy) => copy.storeId === store.storeId),
  );
}

/** A connection to the server that is made once somebody needs it. */
export class Maintenance {
  readonly #endpoint: Endpoint;
  #connection: Promise<Connection> | undefined;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  async connection(): Promise<Connection> {
    this.#connection ??= connect(this.#endpoint, { applicationName: 'strideiq-clearing' });
    return this.#connection;
  }

  /**
   * A restore may have gone to another server than the one that this command works with.
   * @throws AgentError `ServerUnreachable`: the run stays open
   */
  checkIsServerOf({ detail }: Pick<Run, 'detail'>): void {
    const here = describeServer(this.#endpoint);
    if (detail.server === undefined || detail.server === here) return;
    throw new AgentError(
      'ServerUnreachable',
      `Its database ${detail.scratchDatabase} is on the server ${detail.server}, and this one is ${here}.`,
      'Run a command against that server once, or drop the database there by hand.',
    );
  }

  /** A server that cannot be reached has no sessions that matter to what is in the stores. */
  async endSessionsOf(runs: readonly Run[]): Promise<void> {
    if (runs.length === 0) return;
    const connection = await this.connection().catch(() => undefined);
    if (connection) await answered(connection, endSessions(connection, runs));
  }

  async end(): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    if (connection) await endConnection(connection);
  }
}
