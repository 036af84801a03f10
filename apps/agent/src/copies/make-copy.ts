import prettyBytes from 'pretty-bytes';
import { createHash } from 'node:crypto';
import { once, readAll } from '@strideiq/storage';
import { codeOf, paragraphOf, parseManifest } from '@strideiq/core';
import { completeCopy } from '../backup/copies.ts';
import { sha256 } from '../backup/manifest.ts';
import { within } from '../backup/within.ts';
import { findBackups } from '../backups/find-backups.ts';
import type { Host } from '../compose.ts';
import { AgentError } from '../errors.ts';
import type { SealedBackup } from '../journal/schema.ts';
import { inTime } from '../stores/in-time.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { claimPrefix } from '../stores/prefix-owner.ts';
import type { MissingCopy } from './missing-copies.ts';

/** No copy could be made for what is wrong with those that there are; the store that lacks it is not to blame. */
export class NoSourceError extends AgentError {
  constructor(reasons: readonly string[]) {
    super('VerificationFailed', reasons.join(' '), 'No copy was made of it. `strideiq-agent verify` says more.');
  }
}

/**
 * Makes a copy from another one, whose every byte is compared with the manifest as it passes: of a bad one nothing is made.
 * Each step may be repeated, so that one that was cut short is finished the next time.
 * @returns the store that it was made from, and what there is to tell beside it
 * @throws NoSourceError where no other copy can be read whole; any StorageError of the store that lacks it
 */
export async function makeCopy(host: Host, missing: MissingCopy): Promise<{ from: OpenedStore; warnings: string[] }> {
  const { to, from, database, names } = missing;
  const { configuration, surroundings } = host;
  const databaseId = host.databaseIdOf(database);
  const owner = { environment: configuration.environment, database: database.name, databaseId };
  const soon = async <T>(step: Promise<T>, opened = to) =>
    inTime(step, opened, database.dump.stallLimitMs, surroundings.signal);
  await soon(claimPrefix(to, owner, host.journal.copies.hasStoredIn(databaseId, to.store.storeId)));
  await soon(checkRoom(to, missing.sealed.bytes));
  await soon(discardLeft(missing));
  const reasons: string[] = [];
  for (const opened of from) {
    const source = await soon(readSource(host, missing, opened), opened).catch((error: unknown) => {
      reasons.push(paragraphOf(error));
    });
    if (!source) continue;
    const failure = await putDump(host, missing, opened);
    if (failure) {
      reasons.push(paragraphOf(failure));
      continue;
    }
    const warnings = await soon(finish(missing, source));
    const { storeId } = to.store;
    const copy = { databaseId, backupId: missing.backupId, storeId, key: names.dump };
    host.journal.copies.made(missing.runId, { ...copy, sizeBytes: missing.sealed.bytes });
    return { from: opened, warnings };
  }
  throw new NoSourceError(reasons);
}

/** @throws AgentError `DiskTooSmall` */
async function checkRoom({ store }: OpenedStore, needBytes: number): Promise<void> {
  const free = await store.freeBytes();
  if (free === undefined || free >= needBytes * roomFactor) return;
  throw new AgentError(
    'DiskTooSmall',
    `${store.location} has ${prettyBytes(free)} free, too little for a copy of ${prettyBytes(needBytes)} beside the next backup.`,
    'Make room there, or move the store to a larger disk.',
  );
}

/** A copy is not to take the room of the next backup, which is about as large. */
const roomFactor = 2.2;

/** Under this name nobody puts anything but we, and what an earlier attempt has left is in nobody's way but the bill's. */
async function discardLeft({ to, names }: MissingCopy): Promise<void> {
  for await (const left of to.store.unfinished(names.dump)) await left.discard();
}

/** What stands beside a dump. */
interface Beside {
  manifest: Buffer;
  privileges: Buffer | undefined;
  globals: Buffer | undefined;
}

/** @throws AgentError `VerificationFailed` where it is not what this host has written */
async function readSource(
  { journal }: Host,
  { backupId, names }: MissingCopy,
  { store }: OpenedStore,
): Promise<Beside> {
  const manifest = await readAll(await store.get(names.manifest));
  if (!journal.knowsManifest(backupId, sha256(manifest))) {
    throw new AgentError(
      'VerificationFailed',
      `${names.manifest} in ${store.location} is not the manifest that this host wrote.`,
    );
  }
  const expected = parseManifest(manifest.toString(), names.manifest).manifest;
  const sidecar = async (key: string, made: { sha256: string } | null | undefined) => {
    if (!made) return undefined;
    const bytes = await readAll(await store.get(key));
    if (sha256(bytes) === made.sha256) return bytes;
    throw new AgentError('VerificationFailed', `${key} in ${store.location} is not the file that was made.`);
  };
  const privileges = await sidecar(names.privileges, expected.privileges);
  return { manifest, privileges, globals: await sidecar(names.globals, expected.globals) };
}

/** The last step of a put brings everything that the kernel still holds to the disk. */
const patience = 5;

/** @returns why it is the source's fault that there is no copy, which is known from then on; throws where it is not */
async function putDump(host: Host, missing: MissingCopy, from: OpenedStore): Promise<Error | undefined> {
  const { to, names, sealed, database, backupId } = missing;
  const { surroundings, journal } = host;
  const { stallLimitMs: limitMs } = database.dump;
  const there = await inTime(to.store.head(names.dump), to, limitMs, surroundings.signal);
  const stalled = new AbortController();
  const signal = AbortSignal.any([surroundings.signal, stalled.signal]);
  let failure: Error | undefined;
  const source = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* checked(await from.store.get(names.dump, undefined, { signal }), sealed, from, { limitMs, signal });
    } catch (error) {
      failure = error as Error;
      throw error;
    }
  };
  const stall = () =>
    stalled.abort(
      new AgentError('StoreStalled', `${to.store.location} has taken nothing of ${names.dump} for too long.`),
    );
  // A bucket watches itself, part by part.
  const timer = to.kind === 's3' ? undefined : setTimeout(stall, limitMs * patience);
  try {
    const putting = to.store.put(names.dump, source(), {
      expectedBytes: sealed.bytes,
      signal,
      replace: there !== undefined,
      onStored: () => void timer?.refresh(),
    });
    await within(putting, { signal: stalled.signal });
    return undefined;
  } catch (error) {
    surroundings.signal.throwIfAborted();
    if (failure === undefined || stalled.signal.aborted) throw error;
    if (codeOf(failure) === 'VerificationFailed') {
      const copy = { databaseId: host.databaseIdOf(database), backupId, storeId: from.store.storeId, key: names.dump };
      journal.copies.found({ ...copy, state: 'corrupt', problems: [failure.message] });
    }
    return failure;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Manifest and privileges where they are not there, or not what they should be; LATEST, where it is the newest.
 * @returns why LATEST was not updated, where it was not
 */
async function finish(missing: MissingCopy, { manifest, privileges, globals }: Beside): Promise<string[]> {
  const { to, names, sealed } = missing;
  const { store } = to;
  for (const [key, wanted] of [
    [names.privileges, privileges],
    [names.globals, globals],
    [names.manifest, manifest],
  ] as const) {
    if (!wanted || !(await store.head(key)) || (await readAll(await store.get(key))).equals(wanted)) continue;
    await store.put(key, once(wanted), { replace: true });
  }
  const there = await store.head(names.dump);
  if (there?.sizeBytes !== sealed.bytes) throw new Error(`${store.location} holds no whole ${names.dump} any more`);
  const newest = sealed.safety !== true && (await isNewest(missing));
  const warnings: string[] = [];
  await completeCopy(to, { names, manifest, privileges, globals, dumpBytes: sealed.bytes, newest }, warnings);
  return warnings;
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
