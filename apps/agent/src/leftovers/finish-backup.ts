import { copyStates, paragraphOf, parseBackupName, parseManifest, type BackupNames } from '@strideiq/core';
import type { Store } from '@strideiq/storage';
import { completeCopy } from '../backup/copies.ts';
import { sealedBackupOf } from '../backup/manifest.ts';
import { AgentError } from '../errors.ts';
import type { Journal, Run } from '../journal/journal.ts';
import type { CopyOutcome, PlannedCopy } from '../journal/schema.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import type { Cleared } from './clear-leftovers.ts';
import { outcomeOfKilled } from './clear-restore.ts';

/**
 * Gives a killed backup its outcome. Where its dump had reached a store whole, it is finished there.
 * @param unreachable names of stores that did not answer just now: what they hold cannot be told
 * @throws AgentError `StoreFailed`, whatever a store throws: the run is then still open
 */
export async function finishBackup(
  journal: Journal,
  run: Run,
  stores: readonly OpenedStore[],
  unreachable: ReadonlyMap<string, string>,
): Promise<Cleared> {
  const outcomes: CopyOutcome[] = [];
  const warnings: string[] = [];
  const problems: string[] = [];
  const seal = journal.sealOf(run.id);
  for (const planned of run.detail.copies ?? []) {
    const opened = stores.find(({ store }) => store.storeId === planned.storeId);
    const names = parseBackupName(planned.dumpKey)?.names;
    if (!names) {
      outcomes.push(died(planned, `${planned.dumpKey} is no name of a backup.`));
      continue;
    }
    if (!opened) {
      // What it holds cannot be told: nothing may be said of the run before somebody has looked.
      problems.push(
        `the store ${planned.store} (${planned.location}) is not in the configuration any more; run this once with it.`,
      );
      continue;
    }
    try {
      const problem = unreachable.get(opened.name);
      if (problem !== undefined) throw new AgentError('StoreFailed', problem);
      outcomes.push(await finishCopy(opened, planned, names, seal, warnings));
    } catch (error) {
      // The other stores are finished now all the same: each step may be repeated.
      problems.push(`${opened.name}: ${paragraphOf(error)}`);
    }
  }
  if (problems.length > 0) throw new AgentError('StoreFailed', problems.join(' '));
  const stored = outcomes.filter((copy) => copy.state === 'stored');
  const state = stored.length > 0 ? 'succeeded' : outcomeOfKilled(run);
  const text =
    state === 'succeeded'
      ? `The agent's process ended while it completed the backup; the dump was whole in ${stored.map((copy) => copy.store).join(', ')}, and was finished there.`
      : run.kind === 'adopt'
        ? "The agent's process ended before the dump was taken in. It is as it was."
        : "The agent's process ended before the backup did. Nothing of it was kept.";
  journal.finish(
    run.id,
    state,
    { ...sealedOf(seal), copies: outcomes, warnings: [...warnings, ...(state === 'succeeded' ? [text] : [])] },
    state === 'succeeded' ? undefined : { code: 'AgentDied', text },
  );
  return { runId: run.id, kind: run.kind, state, text };
}

type Seal = ReturnType<Journal['sealOf']>;

/** What the journal would have been told, had the run come to its end. */
function sealedOf(seal: Seal): Run['detail'] {
  if (!seal || seal.manifest === '') return {};
  const { manifest } = parseManifest(seal.manifest, 'the sealed manifest');
  const sealed = sealedBackupOf(manifest, seal.manifestSha256);
  const { bytes, rawBytes, rows } = sealed;
  return { sealed, bytes, rawBytes, rows };
}

/** A dump that is whole gets its manifest; stores commit objects whole or not at all, so its size tells. */
async function finishCopy(
  opened: OpenedStore,
  planned: PlannedCopy,
  names: BackupNames,
  seal: Seal,
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
    globals: seal.globals ?? undefined,
    dumpBytes: object.sizeBytes,
    newest: manifest.safety !== true && !manifest.adopted && !(await hasNewer(opened.store, names)),
  };
  await completeCopy(opened, sealed, warnings);
  return { ...planned, state: copyStates.move('uploading', 'stored'), sizeBytes: object.sizeBytes };
}

/** Whether a later backup stands there, whose name LATEST is to keep: this store may have been out of reach for long. */
async function hasNewer(store: Store, names: BackupNames): Promise<boolean> {
  const own = parseBackupName(names.manifest);
  if (!own) return false;
  for await (const { key } of store.list(`${own.database}_`)) {
    const other = parseBackupName(key);
    if (other?.kind === 'manifest' && other.database === own.database && other.at > own.at) return true;
  }
  return false;
}

function died(planned: PlannedCopy, error: string): CopyOutcome {
  const { storeId, store, location, dumpKey } = planned;
  return {
    storeId,
    store,
    location,
    dumpKey,
    state: copyStates.move('uploading', 'failed'),
    errorCode: 'AgentDied',
    error,
  };
}
