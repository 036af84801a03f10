import { parseBackupName } from '@strideiq/core';
import type { RestoreKind } from '@strideiq/protocol';
import { usualRetries, withRetry } from '@strideiq/storage';
import { sourceOf, type BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import { PresignedStore } from '../restore/presigned-store.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { inTime } from '../stores/in-time.ts';
import type { Work } from './work.ts';

/** How long a restore waits for a control plane that is away when it needs URLs of it. */
const urlsLimitMs = 600_000;

type RestoreWork = Work<RestoreKind>;

/** Finds the backup that a command names, by a store of this host's file or by URLs that the control plane gives. */
export async function withSource(work: RestoreWork, use: (source: BackupSource) => Promise<void>): Promise<void> {
  const { source: from, backupId, sourceDatabaseId } = work.command.body;
  const opened = from.via === 'store' ? await openStore(work, from.storeId) : openByUrl(work, from.key);
  try {
    const found = await inTime(sourceOf(opened, from.key), opened, findLimitMs(work), work.signal);
    const source = { ...found, databaseId: sourceDatabaseId };
    checkIsBackup(source, backupId);
    await use(source);
  } finally {
    // A store of the host's file is closed with the host; this one is none.
    if (from.via === 'url') opened.store.close();
  }
}

/** URLs may have to be waited for, and a long manifest is read. */
function findLimitMs({ command, database }: RestoreWork): number {
  const { stallLimitMs } = database.dump;
  return command.body.source.via === 'url' ? urlsLimitMs : Math.max(stallLimitMs, 60_000);
}

async function openStore({ host }: RestoreWork, storeId: string): Promise<OpenedStore> {
  const opened = await host.openStoreOfId(storeId);
  if (opened) return opened;
  throw new AgentError(
    'StoreUnknown',
    `The agent.yaml of this host names no store ${storeId}.`,
    'Name it there, and restart the agent; or restore where the copy can be reached.',
  );
}

function openByUrl({ command, controlPlane, clock, host, signal, database }: RestoreWork, key: string): OpenedStore {
  const names = parseBackupName(key)?.names;
  if (!names) {
    throw new AgentError(
      'CommandInvalid',
      `${JSON.stringify(key)} is no name of a backup.`,
      'Ask for a backup by its own name.',
    );
  }
  const { commandId } = command;
  const { now, secrets } = host.surroundings;
  const store = new PresignedStore({
    commandId,
    keys: names,
    askUrls: async (reading = signal) =>
      controlPlane.ask('sourceUrls', (api, options) => api.sourceUrls.mutate({ commandId }, options), {
        limitMs: urlsLimitMs,
        signal: AbortSignal.any([signal, reading]),
      }),
    serverNow: () => clock.now() ?? now(),
    secrets,
    silenceMs: database.dump.stallLimitMs,
  });
  return { name: 'url', kind: 's3', store: withRetry(store, usualRetries, signal) };
}

/** @throws AgentError `VerificationFailed` where another backup stands under that name */
function checkIsBackup({ found, dumpKey, opened }: BackupSource, backupId: string): void {
  if (!found || found.manifest.backupId === backupId) return;
  throw new AgentError(
    'VerificationFailed',
    `${dumpKey} in ${opened.store.location} is the backup ${found.manifest.backupId}, and not the one that was asked for, ${backupId}.`,
    'Find out who may write to that store; restore from another copy.',
  );
}
