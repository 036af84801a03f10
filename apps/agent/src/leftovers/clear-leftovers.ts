import { paragraphOf } from '@strideiq/core';
import type { HooksConfiguration } from '../configuration/index.ts';
import { isInPlace } from '../in-place/in-place-runs.ts';
import type { Journal, Run } from '../journal/journal.ts';
import type { RunsUnderWay } from '../journal/left-runs.ts';
import { isOfBackup } from '../journal/schema.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { clearRestore, dropScratch } from './clear-restore.ts';
import { finishBackup } from './finish-backup.ts';
import { Servers } from './servers.ts';
import { discardUnfinished } from './unfinished-puts.ts';

/** The database whose runs are to be cleared, with what is needed to do it. */
export interface Clearing {
  databaseId: string;
  /** Opened once something of them is needed. */
  stores: () => Promise<readonly OpenedStore[]>;
  /** A maintenance database of its server, and those of the host's other databases. */
  maintenance: Endpoint;
  otherServers: () => Promise<readonly Endpoint[]>;
  /** The host's own, to start an application again that a killed restore in place had stopped. */
  hooks: HooksConfiguration;
  stateDir: string;
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
  const servers = new Servers(clearing.maintenance, clearing.otherServers);
  try {
    // First of all, since what they still do would come after we have looked.
    await servers.endSessionsOf(killed).catch((error: unknown) => {
      problems.push(`Sessions of killed runs could not be ended on the server: ${paragraphOf(error)}`);
    });
    const clear = async (run: Run, work: () => Promise<Cleared>) => {
      try {
        cleared.push(await work());
      } catch (error) {
        problems.push(`Run ${run.id} (${run.kind}) was killed, and could not be cleared yet: ${paragraphOf(error)}`);
      }
    };
    // Before any store is asked: an application may stand still.
    for (const run of killed.filter(isInPlace)) {
      await clear(run, async () => clearRestore(journal, run, servers, { ...clearing, now }));
    }
    const others = killed.filter((run) => !isInPlace(run));
    if (others.length + ended.length === 0) return { cleared, problems };
    const stores = await clearing.stores();
    const unreachable = await discardUnfinished(stores, others, ended);
    for (const [store, problem] of unreachable) problems.push(`${store} could not be cleared yet: ${problem}`);
    for (const run of others) {
      await clear(run, async () =>
        isOfBackup(run.kind)
          ? finishBackup(journal, run, stores, unreachable)
          : clearRestore(journal, run, servers, { ...clearing, now }),
      );
    }
    for (const run of ended) {
      try {
        if (run.kind === 'restore' || run.kind === 'drill') await dropScratch(run, servers);
        else if (hasCopyIn(run, stores, unreachable)) continue;
        journal.describe(run.id, { clearedAt: now() });
      } catch (error) {
        problems.push(`What run ${run.id} (${run.kind}) left could not be cleared yet: ${paragraphOf(error)}`);
      }
    }
  } finally {
    await servers.end();
  }
  return { cleared, problems };
}

/** Whether a store that could not be reached may still hold something of a run. */
function hasCopyIn(run: Run, stores: readonly OpenedStore[], unreachable: ReadonlyMap<string, string>): boolean {
  return stores.some(
    ({ name, store }) => unreachable.has(name) && run.detail.copies?.some((copy) => copy.storeId === store.storeId),
  );
}
