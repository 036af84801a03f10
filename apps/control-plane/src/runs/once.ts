import { idFromKey, newId } from '@strideiq/core';
import { and, eq } from 'drizzle-orm';
import { createHash } from 'node:crypto';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { idempotencyKeys, runs } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import { commit, type News, type NewsParts } from './news.ts';
import type { Requested, Requester } from './requests.ts';

/** How long a request that is asked again by its key is known for one. */
export const keepIdempotencyKeysMs = 7 * 24 * 60 * 60_000;

/** What a piece of work is called, before it is made. */
export interface WorkIds {
  now: number;
  runId: string;
  commandId: string;
}

/**
 * Does what was asked for, in one transaction, or gives the run of the same request before.
 * @param asked all that tells it from other requests, in a fixed order
 * @param make does it, and gives the run's id
 * @throws ControlPlaneError `IdempotencyKeyReused`, and what `make` throws
 */
export function once(
  parts: NewsParts & { now: () => number },
  { keyId, idempotencyKey }: Requester,
  asked: readonly unknown[],
  make: (tx: CatalogTransaction, news: News, ids: WorkIds) => string,
): Requested {
  return commit(parts, (tx, news) => {
    const now = parts.now();
    const fresh = { now, runId: newId(now), commandId: newId(now) };
    if (idempotencyKey === undefined) return { runId: make(tx, news, fresh), repeated: false };
    const bodyHash = createHash('sha256').update(JSON.stringify(asked)).digest('hex');
    const ofKey = and(eq(idempotencyKeys.callerId, keyId), eq(idempotencyKeys.key, idempotencyKey));
    const known = tx.select().from(idempotencyKeys).where(ofKey).get();
    if (known && known.bodyHash !== bodyHash) throw idempotencyKeyReused(idempotencyKey);
    if (known) return { runId: known.runId, repeated: true };
    const remember = (runId: string) =>
      tx
        .insert(idempotencyKeys)
        .values({ callerId: keyId, key: idempotencyKey, bodyHash, runId, createdAt: now })
        .run();
    const ids = {
      now,
      runId: idFromKey(keyId, idempotencyKey, `run ${bodyHash}`),
      commandId: idFromKey(keyId, idempotencyKey, `command ${bodyHash}`),
    };
    const before = tx.select({ createdAt: runs.createdAt }).from(runs).where(eq(runs.id, ids.runId)).get();
    // The catalog was set back to before the request, and its host has told of the run since.
    if (before && before.createdAt > now - keepIdempotencyKeysMs) {
      remember(ids.runId);
      return { runId: ids.runId, repeated: true };
    }
    // Ids that were had long ago are not had again: the host would take it for done.
    const runId = make(tx, news, before ? fresh : ids);
    remember(runId);
    return { runId, repeated: false };
  });
}

function idempotencyKeyReused(key: string): ControlPlaneError {
  return new ControlPlaneError(
    'IdempotencyKeyReused',
    `The idempotency key ${JSON.stringify(key.slice(0, 200))} was used for another request.`,
    'Use a new one for each thing that is to be done, and the same only to ask for that thing again.',
  );
}
