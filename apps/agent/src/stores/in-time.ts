import { within } from '../backup/within.ts';
import { AgentError } from '../errors.ts';
import type { OpenedStore } from './opened-store.ts';

/** An S3 store that is silent is asked again for as long as the limit once more, and each look is of a few calls. */
const looks = 4;

/**
 * A look into a store before its run has begun, when nobody else watches it: a dead mount never answers.
 * @throws AgentError `StoreStalled`; the signal's reason
 */
export async function inTime<T>(
  look: Promise<T>,
  { store }: OpenedStore,
  stallLimitMs: number,
  signal?: AbortSignal,
): Promise<T> {
  const limitMs = stallLimitMs * looks;
  return within(look, {
    limitMs,
    late: () =>
      new AgentError(
        'StoreStalled',
        `${store.location} has not answered for ${Math.round(limitMs / 1000)} s.`,
        'Look at the mount or the network behind it.',
      ),
    ...(signal ? { signal } : {}),
  });
}
