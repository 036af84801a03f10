import { createHash } from 'node:crypto';
import { readAll } from '@strideiq/storage';
import { completeCopy } from '../backup/copies.ts';
import { sha256 } from '../backup/manifest.ts';
import { within } from '../backup/within.ts';
import { findBackups } from '../backups/find-backups.ts';
import type { Host } from '../compose.ts';
import { AgentError } from '../errors.ts';
import type { SealedBackup } from '../journal/schema.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { claimPrefix } from '../stores/prefix-owner.ts';
import type { MissingCopy } from './missing-copies.ts';

/**
 * Makes a copy from another one, whose every byte is compared with the manifest as it passes: of a bad one nothing is made.
 * Each step may be repeated, so that one that was cut short is finished the next time.
 * @returns the store that it was made from
 * @throws AgentError `VerificationFailed` where no copy is whole any more; any StorageError
 */
export async function makeCopy(host: Host, missing: MissingCopy): Promise<OpenedStore> {
  const { to, from, database, names, backupId, runId, sealed } = missing;
  const { configuration, journal } = host;
  const databaseId = host.databaseIdOf(database);
  await claimPrefix(to, { environment: configuration.environment, database: database.name, databaseId });
  // Under this name nobody puts anything but we, and what an earlier attempt has left is in nobody's way but the bill's.
  for await (const left of to.store.unfinished(names.dump)) await left.discard();
  let failure: unknown;
  for (const opened of from) {
    try {
      const manifest = await readAll(await opened.store.get(names.manifest));
      if (!journal.knowsManifest(backupId, sha256(manifest))) throw notOurs(opened, names.manifest);
      await putDump(host, missing, opened);
      const privileges = sealed.hasPrivileges ? await readAll(await opened.store.get(names.privileges)) : undefined;
      const newest = sealed.safety !== true && (await isNewest(missing));
      await completeCopy(to, { names, manifest, privileges, dumpBytes: sealed.bytes, newest }, []);
      const { storeId } = to.store;
      journal.copyMade(runId, { databaseId, backupId, storeId, key: names.dump, sizeBytes: sealed.bytes });
      return opened;
    } catch (error) {
      if (!(error instanceof AgentError && error.code === 'VerificationFailed')) throw error;
      // Known from here on, and mended itself once there is another.
      const { storeId } = opened.store;
      const problems = [error.message];
      journal.found({ databaseId, backupId, storeId, key: names.dump, state: 'corrupt', problems });
      failure = error;
    }
  }
  throw failure;
}

async function putDump({ surroundings }: Host, { to, names, sealed, database }: MissingCopy, from: OpenedStore) {
  const there = await to.store.head(names.dump);
  const { signal } = surroundings;
  const source = checked(await from.store.get(names.dump, undefined, { signal }), sealed, from, {
    limitMs: database.dump.stallLimitMs,
    signal,
  });
  const replace = there !== undefined;
  const stored = await to.store.put(names.dump, source, { expectedBytes: sealed.bytes, signal, replace });
  if (stored.sizeBytes !== sealed.bytes) throw new Error(`${to.store.location} holds ${stored.sizeBytes} bytes of it`);
}

/** Passes bytes on, and ends only where they are those that the backup had. */
async function* checked(
  source: AsyncIterable<Uint8Array>,
  { bytes, sha256: expected, objectName }: SealedBackup,
  { store }: OpenedStore,
  { limitMs, signal }: { limitMs: number; signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let length = 0;
  const chunks = source[Symbol.asyncIterator]();
  const late = () =>
    new AgentError('StoreStalled', `${store.location} has not gone on with ${objectName} for ${limitMs / 1000} s.`);
  try {
    for (;;) {
      const step = await within(chunks.next(), { limitMs, late, signal });
      if (step.done === true) break;
      hash.update(step.value);
      length += step.value.length;
      yield step.value;
    }
  } finally {
    void chunks.return?.()?.catch(() => undefined);
  }
  if (length === bytes && hash.digest('hex') === expected) return;
  throw new AgentError(
    'VerificationFailed',
    `${objectName} in ${store.location} is not what was stored there: its ${length === bytes ? 'SHA-256' : 'size'} differs.`,
    'No copy was made of it. `strideiq-agent verify` says more.',
  );
}

function notOurs({ store }: OpenedStore, name: string): AgentError {
  return new AgentError(
    'VerificationFailed',
    `${name} in ${store.location} is not the manifest that this host wrote.`,
    'No copy was made of it.',
  );
}

/** LATEST is to name the newest of what the store will hold. */
async function isNewest({ to, names, database, at }: MissingCopy): Promise<boolean> {
  const backups = await findBackups([to]);
  return !backups.some(
    (other) =>
      other.database === database.name &&
      other.names.stem !== names.stem &&
      other.at.getTime() > at &&
      other.copies[0]?.hasManifest === true,
  );
}
