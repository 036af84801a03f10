import { paragraphOf, parseBackupName, parseManifest, type BackupNames } from '@strideiq/core';
import { completeCopy } from '../backup/copies.ts';
import type { Journal, Run } from '../journal/journal.ts';
import type { CopyOutcome, PlannedCopy } from '../journal/schema.ts';
import { connect } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import type { OpenedStore } from '../stores/opened-store.ts';

/** The database whose killed runs are to be cleared, with what is needed to do it. */
export interface Clearing {
  databaseId: string;
  stores: readonly OpenedStore[];
  /** A maintenance database of the server. */
  maintenance: Endpoint;
}

/** What was found of one run, and what became of it. */
export interface Cleared {
  runId: string;
  kind: Run['kind'];
  state: 'succeeded' | 'failed';
  text: string;
}

/**
 * Clears what runs left whose process was killed: temporary files, multipart uploads, half-restored databases; and gives
 * each its true outcome in the journal. A backup whose dump had reached a store whole is finished there. What cannot be
 * reached now is tried again at the next start: the run stays open, and `problems` says why.
 */
export async function clearLeftovers(
  journal: Journal,
  clearing: Clearing,
): Promise<{ cleared: Cleared[]; problems: string[] }> {
  const cleared: Cleared[] = [];
  const problems: string[] = [];
  for (const run of journal.abandoned([clearing.databaseId])) {
    if (!journal.adopt(run)) continue;
    try {
      cleared.push(
        run.kind === 'backup' ? await clearBackup(journal, run, clearing) : await clearRestore(journal, run, clearing),
      );
    } catch (error) {
      problems.push(`Run ${run.id} (${run.kind}) was killed, and could not be cleared yet: ${paragraphOf(error)}`);
    }
  }
  return { cleared, problems };
}

async function clearBackup(journal: Journal, run: Run, { stores }: Clearing): Promise<Cleared> {
  const outcomes: CopyOutcome[] = [];
  const warnings: string[] = [];
  const seal = journal.sealOf(run.id);
  for (const planned of run.detail.copies ?? []) {
    const opened = stores.find(({ store }) => store.storeId === planned.storeId);
    const names = parseBackupName(planned.dumpKey)?.names;
    if (!opened || !names) {
      outcomes.push(died(planned, 'This store was not at hand when the killed run was cleared.'));
      continue;
    }
    for await (const left of opened.store.unfinished(names.stem)) await left.discard();
    outcomes.push(await finishCopy(opened, planned, names, seal, warnings));
  }
  const stored = outcomes.filter((copy) => copy.state === 'stored');
  const state = stored.length > 0 ? 'succeeded' : 'failed';
  const text =
    state === 'succeeded'
      ? `The agent's process ended while it completed the backup; the dump was whole in ${stored.map((copy) => copy.store).join(', ')}, and was finished there.`
      : "The agent's process ended before the backup did. Nothing of it was kept.";
  journal.finish(
    run.id,
    state,
    { copies: outcomes, warnings: [...warnings, ...(state === 'succeeded' ? [text] : [])] },
    state === 'failed' ? { code: 'AgentDied', text } : undefined,
  );
  return { runId: run.id, kind: run.kind, state, text };
}

/** A dump that is whole gets its manifest; stores commit objects whole or not at all, so its size tells. */
async function finishCopy(
  opened: OpenedStore,
  planned: PlannedCopy,
  names: BackupNames,
  seal: ReturnType<Journal['sealOf']>,
  warnings: string[],
): Promise<CopyOutcome> {
  const object = await opened.store.head(names.dump);
  if (!object || !seal || seal.manifest === '')
    return died(planned, "The agent's process ended before this copy was stored.");
  const { manifest } = parseManifest(seal.manifest, names.manifest);
  if (object.sizeBytes !== manifest.object.bytes) {
    return died(planned, `${names.dump} holds ${object.sizeBytes} bytes where ${manifest.object.bytes} were made.`);
  }
  const sealed = {
    names,
    manifest: Buffer.from(seal.manifest),
    privileges: seal.privileges ?? undefined,
    dumpBytes: object.sizeBytes,
  };
  await completeCopy(opened, sealed, warnings);
  return { ...planned, state: 'stored', sizeBytes: object.sizeBytes };
}

function died(planned: PlannedCopy, error: string): CopyOutcome {
  const { storeId, store, location, dumpKey } = planned;
  return { storeId, store, location, dumpKey, state: 'failed', errorCode: 'AgentDied', error };
}

async function clearRestore(journal: Journal, run: Run, { maintenance }: Clearing): Promise<Cleared> {
  const { scratchDatabase } = run.detail;
  if (scratchDatabase !== undefined) {
    const connection = await connect(maintenance, { applicationName: 'strideiq-clearing' });
    try {
      await connection.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(scratchDatabase)} WITH (FORCE)`);
    } finally {
      await connection.end();
    }
  }
  const what = run.kind === 'restore' ? `restore into ${run.detail.into ?? 'a new database'}` : run.kind;
  const text = `The agent's process ended before the ${what} did. The half-restored database was dropped.`;
  journal.finish(run.id, 'failed', {}, { code: 'AgentDied', text });
  return { runId: run.id, kind: run.kind, state: 'failed', text };
}
