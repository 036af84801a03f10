import { codeOf, paragraphOf, parseBackupName } from '@strideiq/core';
import type { Presigned } from '@strideiq/protocol';
import { redacted } from '@strideiq/terminal';
import { AgentError } from '../errors.ts';
import { storeNamesOf } from './store-names.ts';
import { sweepUploads } from './sweep-uploads.ts';
import type { Work } from './work.ts';

/** How long the answer may wait for a connection; whoever asked does not wait much longer. */
const answerLimitMs = 60_000;

/**
 * `presign`: URLs by which somebody else may read objects of a backup for a while; `presignUpload`: one by which a dump may
 * be put into a store. They go to whoever asked and nowhere else: not into the journal, not into a log.
 */
export async function doPresign(work: Work<'presign' | 'presignUpload'>): Promise<void> {
  const { command, controlPlane, signal } = work;
  const { commandId } = command;
  let answer: Presigned;
  let failure: unknown;
  try {
    answer = { commandId, ...(await urlsOf(work)) };
  } catch (error) {
    failure = error;
    answer = {
      commandId,
      error: { code: codeOf(error), text: redacted(paragraphOf(error), work.host.surroundings.secrets).slice(0, 2000) },
    };
  }
  await controlPlane.ask('presigned', (api, options) => api.presigned.mutate(answer, options), {
    limitMs: answerLimitMs,
    signal,
  });
  if (failure !== undefined) throw failure;
}

async function urlsOf(work: Work<'presign' | 'presignUpload'>): Promise<Pick<Presigned, 'urls' | 'headers'>> {
  const { command, ...rest } = work;
  return command.kind === 'presign'
    ? { urls: await readUrlsOf({ ...rest, command }) }
    : uploadUrlOf({ ...rest, command });
}

async function uploadUrlOf({
  command,
  database,
  host,
}: Work<'presignUpload'>): Promise<Pick<Presigned, 'urls' | 'headers'>> {
  const { storeId, key, expiresInSeconds, sizeBytes } = command.body;
  const [opened] = await host.storesOf(database, storeNamesOf(host.configuration, database, [storeId]));
  const store = opened?.store;
  if (store?.presignPut) {
    // Where nobody may do so here, somebody else has to.
    await sweepUploads(store, host.surroundings.now()).catch(() => undefined);
    const { url, headers } = await store.presignPut(key, { expiresInSeconds, sizeBytes });
    return { urls: [url], headers };
  }
  throw new AgentError(
    'CopyUnreachable',
    `${store?.location ?? storeId} is on this host, and nobody else can put anything there.`,
    'Upload into a bucket, or copy the file to this host.',
  );
}

async function readUrlsOf({ command, database, host }: Work<'presign'>): Promise<string[]> {
  const { storeId, keys, expiresInSeconds } = command.body;
  const [opened] = await host.storesOf(database, storeNamesOf(host.configuration, database, [storeId]));
  const store = opened?.store;
  if (!store?.presign) {
    throw new AgentError(
      'CopyUnreachable',
      `The copy is in ${store?.location ?? storeId} on this host, which nobody else can read.`,
      'Restore on this host, or keep a copy in a bucket too.',
    );
  }
  // No restore needs the globals, which may hold password hashes: they do not leave for another host.
  const foreign = keys.find((key) => (parseBackupName(key)?.kind ?? 'globals') === 'globals');
  if (foreign !== undefined) {
    throw new AgentError(
      'CommandInvalid',
      `${JSON.stringify(foreign)} is no object that a restore needs.`,
      'Only those are handed out.',
    );
  }
  const presign = store.presign.bind(store);
  return Promise.all(keys.map(async (key) => presign(key, { expiresInSeconds })));
}
